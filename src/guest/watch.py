# Runs before the imports, in the user's namespace, whose names may hide built-in
# ones: it uses none of them, and leaves none.
#
# A finder behind all others remembers which private modules of packages were asked
# for in vain, and serves `snapshot_restore_py` where no package of that name is
# installed.


def _eryx_preinit_watch(source):
    global _eryx_preinit_watch
    del _eryx_preinit_watch
    import sys
    from builtins import any, classmethod, compile, exec, staticmethod, str, type

    spec_of = type(sys.__spec__)

    class EryxPreinitWatch:
        misses = []

        @classmethod
        def find_spec(cls, name, path=None, target=None):
            if name == "snapshot_restore_py":
                return spec_of(name, cls)
            if path and name.rpartition(".")[2].startswith("_") and name not in cls.misses:
                if any(str(place).startswith("/site-packages") for place in path):
                    cls.misses.append(name)

        @staticmethod
        def create_module(spec):
            pass

        @staticmethod
        def exec_module(module):
            exec(compile(source, "<eryx-preinit-build>", "exec"), module.__dict__)

    sys.meta_path.append(EryxPreinitWatch)
