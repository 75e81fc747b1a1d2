import os, io, tempfile, pathlib, zipfile, tarfile, gzip, shutil, sys, importlib, importlib.resources, importlib.metadata, pkgutil, runpy, zoneinfo, time, random, prepared
try:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "file.txt")
        path.write_text("one\ntwo\n", encoding="utf-8")
        with path.open("rb+") as file:
            file.seek(4); file.write(b"TWO"); file.seek(0); print(file.read())
        with zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive: archive.writestr("a", "inside")
        print(zipfile.ZipFile(path.with_suffix(".zip")).read("a"), sorted(os.listdir(folder)), path.stat().st_size)
        with gzip.open(path.with_suffix(".gz"), "wt") as file: file.write("z")
        print(gzip.open(path.with_suffix(".gz")).read())
        (pathlib.Path(folder) / "made_here.py").write_text("VALUE = 11\n")
        sys.path.insert(0, folder); importlib.invalidate_caches()
        import made_here
        print(made_here.VALUE); sys.path.pop(0); del sys.modules["made_here"]
except Exception as error:
    print(type(error).__name__, str(error).split("/tmp")[0])
print([m.name for m in pkgutil.iter_modules(["/python-stdlib/json"])], importlib.util.find_spec("json.decoder").origin, "json" in sys.modules, sys.path)
try:
    importlib.import_module("no_such_module")
except ModuleNotFoundError as error:
    print(error)
import wave, quopri, colorsys, sched, plistlib, xml.etree.ElementTree as etree
print(quopri.encodestring(b"a=b\xff"), colorsys.rgb_to_hsv(1, 0.5, 0), plistlib.dumps({"a": 1})[:20])
tree = etree.fromstring("<a><b x='1'>t</b></a>")
print(tree.find("b").attrib, etree.tostring(tree))
for key in ("UTC", "Europe/Berlin"):
    try:
        print(zoneinfo.ZoneInfo(key))
    except Exception as error:
        print(type(error).__name__, error)
try:
    import sqlite3
    database = sqlite3.connect(":memory:")
    database.execute("create table x (y)"); database.execute("insert into x values (?)", (3,))
    print(database.execute("select y * 2 from x").fetchone())
except Exception as error:
    print(type(error).__name__, error)
a, b = time.monotonic(), time.monotonic()
print(b >= a, time.gmtime(0), time.strftime("%Y", time.gmtime(86400)), time.time() > 1.7e9)
state = random.getstate(); random.seed(5); first = random.random(); random.seed(5)
print(first == random.random(), random.choices("abc", k=3), random.gauss(0, 1)); random.setstate(state)
print(len({random.random() for _ in range(50)}), len(os.urandom(16)))
sys.stdout.write("no newline"); sys.stdout.flush(); print(file=sys.stderr); print("", end="\n", flush=True)
