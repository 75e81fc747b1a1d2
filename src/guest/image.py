# Leaves less in memory to be written into the snapshot. Called twice: first with room for
# more memory, which is made sure of; then, when the host refuses all growth, to fill what
# is free with zeros.

import sys

sys.settrace(None)


def clear():
    # What these modules keep is made again when it is needed, and of no other effect.
    import gc

    modules = sys.modules
    for module, name in (("linecache", "clearcache"), ("re", "purge"),
                         ("fnmatch", "purge"), ("urllib.parse", "clear_cache")):
        # Not what somebody put in its place, nor what is yet to be loaded.
        found = modules.get(module)
        own = found.__dict__ if type(found) is type(sys) else {}
        if str(own.get("__file__")).startswith("/python-stdlib/") and name in own:
            own[name]()
    # What lies in folders that instances may not have.
    sys.path_importer_cache.clear()
    gc.collect()
    # A collection in an instance would write to every object that it looks at.
    gc.freeze()
    # The next call needs room for itself before it can fill what is left.
    bytes(ROOM)


def fill():
    # Blocks of zeros in all sizes, the largest first, until there is no memory left; all
    # of them go with this frame.
    held = None
    size = LARGEST
    while size >= SMALLEST:
        try:
            while True:
                held = held, bytes(size)
        except MemoryError:
            size //= 2


ROOM = 1 << 20
LARGEST = 1 << 24
SMALLEST = 128

fill() if full else clear()
