# Tells the host which objects are alive: of each type, and of each module, how many there
# are and how large they are. Those the garbage collector knows, what these refer to, and
# what code consists of.
#
# Functions, classes, modules and code say which module they are of. Anything else is of the
# module from which it is reached first: in the order in which modules were loaded, and by
# the fewest steps.


def _eryx_preinit_live_objects():
    global _eryx_preinit_live_objects
    code_of_this = _eryx_preinit_live_objects.__code__
    del _eryx_preinit_live_objects
    import gc
    import posix
    import sys
    from builtins import id, issubclass, len, map, str, type

    Code, Module, Function = type(code_of_this), type(sys), type(lambda: None)
    gc.collect()
    tracked = gc.get_objects()
    things, owners, seen, types, modules = [], [], set(), {}, {}
    # By their ids: the names of modules, and what belongs to code.
    names, files, tables = {}, {}, set()
    # What counts is not counted.
    own = tracked, things, owners, seen, types, modules, names, files, tables, code_of_this
    seen.update(map(id, own))
    seen.add(id(own))

    for name, module in [*sys.modules.items()]:
        if type(name) is str and issubclass(type(module), Module) and id(module) not in names:
            names[id(module)] = name
            file = Module.__getattribute__(module, "__dict__").get("__file__")
            if type(file) is str:
                files.setdefault(file, name)

    def owner_of(thing):
        kind = type(thing)
        if kind is Code:
            return files.get(thing.co_filename)
        if id(thing) in names:
            return names[id(thing)]
        if kind is Function:
            name = thing.__module__
        elif issubclass(kind, type):
            name = type.__dict__["__module__"].__get__(thing)
        else:
            return None
        return name if type(name) is str else None

    def add(thing, owner):
        if id(thing) not in seen:
            seen.add(id(thing))
            things.append(thing)
            owners.append(owner_of(thing) or owner)

    def count(table, key, size, code):
        entry = table.setdefault(key, [0, 0, 0])
        entry[0] += 1
        entry[1] += size
        entry[2] += code

    def follow(at):
        # Both lists grow meanwhile.
        while at < len(things):
            thing, owner = things[at], owners[at]
            at += 1
            kind, size = type(thing), sys.getsizeof(thing, 0)
            code = size if kind is Code or id(thing) in tables else 0
            count(types, kind, size, code)
            count(modules, owner, size, code)
            if kind is Code:
                tables.update((id(thing.co_linetable), id(thing.co_exceptiontable)))
                for part in (
                    thing.co_linetable,
                    thing.co_exceptiontable,
                    thing.co_consts,
                    thing.co_names,
                    thing.co_name,
                    thing.co_qualname,
                    thing.co_filename,
                ):
                    add(part, owner)
            for inner in gc.get_referents(thing):
                add(inner, owner)
        return at

    for module in [*sys.modules.values()]:
        if id(module) in names:
            add(module, None)
    at = follow(0)
    for thing in tracked:
        add(thing, "")
    follow(at)

    for kind, (number, size, _) in [*types.items()]:
        name = f"{kind.__module__}.{kind.__qualname__}".replace("\t", " ")
        line = f"{name[:1000]}\t{number}\t{size}"
        posix.write(1, b"\x1eo" + line.encode("utf-8", "replace"))
    for name, (number, size, code) in [*modules.items()]:
        line = f"{name.replace('\t', ' ')[:1000]}\t{number}\t{size}\t{code}"
        posix.write(1, b"\x1em" + line.encode("utf-8", "replace"))


_eryx_preinit_live_objects()
