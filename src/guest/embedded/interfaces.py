import importlib, importlib.metadata, importlib.resources, importlib.util
import inspect, linecache, os, pkgutil, runpy, sys, traceback, zipimport

def spec(name):
    found = importlib.util.find_spec(name)
    if found is None:
        return None
    locations = found.submodule_search_locations
    return (found.name, found.origin, found.cached, found.has_location, found.parent,
            None if locations is None else list(locations))

for name in ("pkg", "pkg.sub", "pkg.gone", "space", "space.one", "space.gone", "single", "broken",
             "nothing", "json", "json.decoder", "xml", "xml.dom", "encodings.idna", "zoneinfo",
             "zlib", "ü", "pkg.\ud800"):
    show(f"spec {name!a}", lambda: spec(name))

import pkg, pkg.sub, space, space.one, single, json.decoder, csv, xml.etree.ElementTree
for module in (pkg, pkg.sub, space, space.one, single, csv, json.decoder, json):
    show(module.__name__, lambda: (module.__file__, module.__cached__, module.__doc__, module.__package__,
                                   list(getattr(module, "__path__", ()))))
    loader = module.__spec__.loader
    show("same loader", lambda: module.__loader__ is loader)
    show("package", lambda: loader.is_package(module.__name__))
    show("file name", lambda: loader.get_filename(module.__name__))
    show("code", lambda: loader.get_code(module.__name__).co_filename)
    show("source", lambda: loader.get_source(module.__name__)[:200])
    show("another's", lambda: loader.get_source("other"))
    show("data", lambda: loader.get_data(module.__file__)[:20])
    show("kind", lambda: isinstance(loader, importlib.machinery.SourceFileLoader))
    show("gone", lambda: loader.get_data("/site-packages/gone"))

def where(call):
    try:
        call()
    except Exception as error:
        return traceback.format_exc().rpartition("in where")[2]

show("traceback", lambda: where(pkg.sub.fails))
show("deep", lambda: where(lambda: json.loads("{")))
def broken():
    import broken
show("broken", lambda: where(broken))
def missing():
    import pkg.gone
show("missing", lambda: where(missing))
show("getsource", lambda: inspect.getsource(pkg.sub.fails))
show("getsourcefile", lambda: inspect.getsourcefile(csv.DictReader))
show("getsource", lambda: inspect.getsource(csv.DictReader.__next__))
show("comments", lambda: inspect.getcomments(pkg.sub))
show("getmodule", lambda: inspect.getmodule(pkg.sub.fails))
linecache.clearcache()
show("linecache", lambda: linecache.getlines("/site-packages/pkg/sub.py", vars(pkg.sub)))

show("modules", lambda: [tuple(m)[1:] for m in pkgutil.iter_modules(["/site-packages"])])
show("modules", lambda: [tuple(m)[1:] for m in pkgutil.iter_modules(space.__path__, "space.")])
show("walk", lambda: [m.name for m in pkgutil.walk_packages(["/site-packages"])])
show("walk", lambda: [m.name for m in pkgutil.walk_packages(xml.__path__, "xml.")])
show("get_data", lambda: pkgutil.get_data("pkg", "data/a.txt"))
show("get_data", lambda: pkgutil.get_data("pkg", "data/gone.txt"))
show("resolve_name", lambda: pkgutil.resolve_name("pkg.sub:fails").__name__)

files = importlib.resources.files("pkg")
show("files", lambda: (str(files), files.name, files.is_dir(), files.is_file(), str(files.parent)))
show("iterdir", lambda: sorted(item.name for item in files.iterdir() if item.name != "__pycache__"))
show("kinds", lambda: sorted((item.name, item.is_dir(), item.is_file()) for item in files.joinpath("data").iterdir()))
show("read_text", lambda: files.joinpath("data", "a.txt").read_text(encoding="utf-8"))
show("read_text", lambda: (files / "data/a.txt").read_text(encoding="ascii"))
show("read_bytes", lambda: (files / "data" / "deep" / "b.bin").read_bytes())
show("empty", lambda: (files / "empty.txt").read_bytes())
show("gone", lambda: (files / "gone.txt").read_bytes())
show("folder", lambda: (files / "data").open("rb"))
show("write", lambda: (files / "empty.txt").open("r").write("x"))
show("open", lambda: (files / "data/a.txt").open(encoding="utf-8").readlines())
show("open", lambda: (files / "data/a.txt").open("rb").read())
show("module", lambda: str(importlib.resources.files(pkg.sub)))
show("old", lambda: importlib.resources.read_text("pkg", "data", "a.txt", encoding="utf-8"))
show("old", lambda: importlib.resources.is_resource("pkg", "empty.txt"))
show("old", lambda: importlib.resources.is_resource("pkg", "data"))
show("old", lambda: importlib.resources.open_binary("pkg", "data/a.txt").read())
show("old", lambda: sorted(set(importlib.resources.contents("pkg")) - {"__pycache__"}))
names = importlib.resources.files("space")
show("namespace", lambda: (names.is_dir(), names.joinpath("data.txt").read_text("utf-8"), (names / "one").is_dir()))
show("namespace", lambda: sorted(item.name for item in names.iterdir()))
show("namespace", lambda: importlib.resources.read_text("space", "data.txt"))
show("namespace", lambda: importlib.resources.is_resource("space", "gone.txt"))
with importlib.resources.as_file(files / "data/a.txt") as path:
    show("as_file", lambda: (path.is_file(), path.read_bytes()))

metadata = importlib.metadata
show("version", lambda: metadata.version("dist-name"))
show("version", lambda: metadata.version("Dist.Name"))
show("version", lambda: metadata.version("gone"))
show("metadata", lambda: metadata.metadata("dist_name")["Name"])
show("requires", lambda: metadata.requires("dist_name"))
show("files", lambda: [str(file) for file in metadata.files("dist_name")])
show("locate", lambda: str(metadata.distribution("dist_name").locate_file("pkg")))
show("read", lambda: metadata.files("dist_name")[0].read_text()[:12])
show("names", lambda: [d.name for d in metadata.distributions()])
show("entry points", lambda: metadata.entry_points(group="group"))
show("load", lambda: metadata.entry_points(group="group")["first"].load().__name__)
show("packages", lambda: metadata.packages_distributions())

show("run_module", lambda: runpy.run_module("single", run_name="x")["value"])
show("run_module", lambda: runpy.run_module("pkg", run_name="__main__")["__name__"])
importlib.invalidate_caches()
show("reload", lambda: importlib.reload(single).value)
show("path", lambda: sys.path)
show("abspath", lambda: os.path.dirname(pkg.__file__))
