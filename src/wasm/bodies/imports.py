# Every module of the standard library that imports here, one by one.
def imports():
    import pkgutil
    import sys

    # They print, open a browser, have windows, or are tests.
    skipped = {"antigravity", "this", "idlelib", "turtledemo", "test", "tkinter", "__hello__",
               "__phello__", "lib2to3", "dill"}

    def attempt(name):
        try:
            return __import__(name, fromlist=["x"])
        except BaseException:
            return None

    def every(path, prefix):
        for module in pkgutil.iter_modules(path, prefix):
            if module.name in skipped or module.name.endswith("__main__"):
                continue
            imported = attempt(module.name)
            if module.ispkg and imported:
                every(imported.__path__, module.name + ".")

    for name in sorted(sys.stdlib_module_names - skipped):
        attempt(name)
    every(["/python-stdlib"], "")
    attempt("os.path")


imports()
