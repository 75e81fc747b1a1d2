# Compiles sources into files of bytecode. `jobs` pairs the path of each source with that
# of the file to write; a source that does not compile gets none.


def compile_files(jobs):
    import sys
    import warnings
    from importlib._bootstrap_external import _code_to_hash_pyc
    from importlib.util import source_hash

    sys.settrace(None)
    # About escapes in other people's strings.
    warnings.simplefilter("ignore")
    for path, target in jobs:
        with open(path, "rb") as file:
            source = file.read()
        try:
            code = first = compile(source, path, "exec", dont_inherit=True)
            held = []
            if hold(first, held):
                # While the first is alive, all its strings are known to others.
                code = compile(source, path, "exec", dont_inherit=True)
                hold(code, held)
            pyc = _code_to_hash_pyc(code, source_hash(source), checked=False)
        except Exception:
            continue
        with open(target, "wb") as file:
            file.write(pyc)


def hold(value, held):
    # What marshal writes can tell what else an interpreter has compiled, in two ways.
    #
    # It marks an object for later reference only where somebody else refers to it, too.
    # For an interned string that may be any code. So somebody does for each object that
    # code can share: this list.
    #
    # And a class in a class or function has its qualified name as a constant. That and
    # the name of its code are one string, unless an equal one was interned before. Whether
    # there is such a name is the answer.
    held.append(value)
    nested = False
    if isinstance(value, (tuple, frozenset)):
        for item in value:
            nested |= hold(item, held)
    elif isinstance(value, slice):
        hold((value.start, value.stop, value.step), held)
    elif isinstance(value, type(hold.__code__)):
        nested = value.co_qualname in value.co_consts and not value.co_qualname.isidentifier()
        hold((value.co_filename, value.co_name, value.co_qualname), held)
        for shared in (value.co_consts, value.co_names, value.co_varnames,
                       value.co_cellvars, value.co_freevars):
            nested |= hold(shared, held)
    return nested


compile_files(jobs)
