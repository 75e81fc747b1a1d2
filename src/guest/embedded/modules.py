import importlib, pkgutil, sys, warnings, zlib
warnings.simplefilter("ignore")
# They print, open a browser, or change what others see.
skipped = {"antigravity", "this", "__hello__", "__phello__", "__phello__.spam", "idlelib",
           "asyncio.windows_events", "asyncio.windows_utils", "ctypes", "curses", "ensurepip",
           "test", "tkinter", "turtle", "turtledemo", "venv"}

def names(path, prefix):
    for module in pkgutil.iter_modules([path], prefix):
        if module.name in skipped or module.name.endswith("__main__"):
            continue
        yield module.name
        if module.ispkg:
            yield from names(path + "/" + module.name.rpartition(".")[2], module.name + ".")

def look(name):
    try:
        module = importlib.import_module(name)
    except BaseException as error:
        # `ctypes` is not embedded; where it is mounted, its library `_ctypes` is missing.
        text = str(error).replace("'_ctypes'", "'ctypes'")
        return f"does not import: {type(error).__name__} {text}"
    spec = module.__spec__
    names = sorted(name for name in vars(module) if name != "__warningregistry__")
    if spec is None:
        return f"has no spec; {zlib.crc32(repr(names).encode())}"
    # What a host keeps of an instance's output is limited.
    return "; ".join(map(str, (
        getattr(module, "__file__", None) == spec.origin,
        getattr(module, "__cached__", None) == spec.cached,
        getattr(module, "__path__", None) == spec.submodule_search_locations,
        module.__package__ == spec.parent, spec.origin, spec.has_location,
        spec.submodule_search_locations, zlib.crc32(str(spec.cached).encode()),
        len(module.__doc__ or ""), len(names), zlib.crc32(repr(names).encode()),
    )))

out, err = sys.stdout, sys.stderr
for name in names("/python-stdlib", ""):
    line = look(name)
    sys.stdout, sys.stderr = out, err
    print(name, line.replace("\n", " "))
