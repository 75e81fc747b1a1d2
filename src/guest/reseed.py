# Runs last before the snapshot, and leaves what an instance needs before its first code.
#
# The environment is read again: `build` holds the names that the build passed. What code
# set itself stays, where the host passes no other value.
#
# Whatever the system's randomness seeded so far is the same in every instance of the
# snapshot, so it is seeded again.
#
# All that happens when an instance executes its first code: the runtime compiles that code
# through `builtins.compile`, where a one-shot object waits.
#
# `seeds` holds the seeds that the host gave out, as integers; `hooks` what
# `on-restore` names, as (module, attribute) pairs; `blocks` how far to look.

import builtins


def prepare(seeds, hooks, blocks, build):
    import gc
    import sys

    # The runtime traces what it executes, line by line.
    sys.settrace(None)
    forget(sys.modules)
    # What is frozen, the collector does not list.
    frozen = gc.get_freeze_count()
    gc.unfreeze()
    # Garbage needs no seed and no place in the snapshot; and an instance's first code
    # should not have to collect what was made before it.
    gc.collect()
    calls = []
    for index, (module, attribute) in enumerate(hooks):
        __import__(module)
        call = sys.modules[module]
        for part in attribute.split("."):
            call = getattr(call, part)
        if not callable(call):
            raise TypeError(f"on-restore[{index}]: {module}:{attribute} is not callable")
        calls.append(call)

    generators = seeded(seeds, blocks) if seeds else []
    if frozen:
        gc.freeze()
    # What packages registered, by the convention of `snapshot_restore_py`.
    registered = getattr(sys.modules.get("snapshot_restore_py"), "get_after_restore", list)
    registered = list(registered())
    # Log records tell the time since this, in the clock that the build had.
    logging = standard(sys.modules, "logging")
    if not isinstance(getattr(logging, "_startTime", None), int):
        logging = None
    from time import time_ns
    import os

    own = {name: value for name, value in os.environ.items() if name not in build}
    seed = twister().seed if generators else None
    compile = builtins.compile

    class Compile:
        _eryx_preinit_waits = True

        # A property, so that what is called in the end is the builtin itself: a
        # SyntaxError in the first code shows no frame of this file.
        @property
        def __call__(self):
            builtins.compile = compile
            try:
                # Has libc read its list, which was never read as far as it knows.
                os.unsetenv("ERYX_PREINIT_BUILD")
                os.reload_environ()
                for name, value in own.items():
                    os.environ.setdefault(name, value)
                for generator in generators:
                    seed(generator)
                if logging:
                    logging._startTime = time_ns()
                for call, arguments, keywords in registered:
                    call(*arguments, **keywords)
                for call in calls:
                    call()
            except BaseException:
                # No code runs with randomness that is not fresh.
                builtins.compile = self
                raise
            return compile

    builtins.compile = Compile()


def standard(modules, name):
    # The module, if it is the standard library's: no stand-in, and none that is yet to
    # be loaded.
    module = modules.get(name)
    if type(module) is not type(builtins):
        return None
    file = module.__dict__.get("__file__")
    return module if isinstance(file, str) and file.startswith("/python-stdlib/") else None


def twister():
    # The type behind all generators, whatever is called `_random` now.
    for kind in object.__subclasses__():
        if kind.__module__ == "_random" and kind.__name__ == "Random":
            return kind


def forget(modules):
    # What these modules make or find out again when it is next used.
    tempfile = standard(modules, "tempfile")
    if tempfile:
        tempfile._name_sequence = None
        if tempfile.tempdir in tempfile._candidate_tempdir_list():
            tempfile.tempdir = None
    uuid = standard(modules, "uuid")
    for name, value in (
        ("_node", None),
        ("_last_timestamp", None),
        ("_last_timestamp_v6", None),
        ("_last_timestamp_v7", None),
        ("_last_counter_v7", 0),
    ):
        if hasattr(uuid, name):
            setattr(uuid, name, value)


def seeded(seeds, blocks):
    # The Mersenne Twisters that continue a seed of the system's. One that a program
    # seeded itself matches none, and keeps its state.
    import gc
    import sys

    Random = twister()
    if not Random:
        return []
    system = getattr(standard(sys.modules, "random"), "SystemRandom", ())
    # The collector lists no object that can be in no cycle: such generators are what
    # others refer to, or tuples that it does not list either. By their numbers, as
    # classes need not be hashable.
    objects = gc.get_objects()
    referents = gc.get_referents(*objects)
    known = set()
    while referents:
        objects += referents
        tuples = {
            id(item): item for item in referents
            if type(item) is tuple and not gc.is_tracked(item) and id(item) not in known
        }
        known.update(tuples)
        referents = gc.get_referents(*tuples.values())
    kinds = {
        number for number, kind in {id(kind): kind for kind in map(type, objects)}.items()
        if issubclass(kind, Random) and not issubclass(kind, system)
    }
    # By the first two words of their present block: where in the block a generator
    # is does not matter, and what was drawn before only costs blocks to look at.
    waiting = {}
    probe = Random()
    generators = {id(item): item for item in objects if id(type(item)) in kinds}
    for generator in generators.values():
        block = Random.getstate(generator)[:-1]
        probe.setstate((*block, 0))
        waiting.setdefault(probe.getrandbits(64), []).append(generator)
    del objects, generators

    streams = []
    found = []
    for number in seeds:
        stream = Random(number)
        block = stream.getstate()[:-1]
        probe.setstate((*block, 0))
        found += waiting.pop(probe.getrandbits(64), ())
        streams.append(stream)
    for _ in range(max(blocks // len(streams), 32)):
        if not waiting:
            break
        for stream in streams:
            found += waiting.pop(stream.getrandbits(624 * 32) & (1 << 64) - 1, ())
    for generator in found:
        # The half of a pair that gauss() keeps for its next call.
        if getattr(generator, "gauss_next", None) is not None:
            generator.gauss_next = None
    return found


prepare(seeds, hooks, blocks, build)
