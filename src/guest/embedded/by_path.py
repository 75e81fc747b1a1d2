# Prints what code sees that opens embedded files by their paths.
import copy, fileinput, filecmp, glob, inspect, io, linecache, os, pathlib, pickle, shutil
import stat, sys, tokenize, traceback, types, zipfile

SITE = "/site-packages"
TEXT = SITE + "/pkg/data/a.txt"
BINARY = SITE + "/pkg/data/deep/b.bin"

def listed(names):
    return sorted(name for name in names if name != "__pycache__")

def read(*args, **named):
    with open(*args, **named) as file:
        return (file.name, file.mode, file.readable(), file.writable(), file.seekable(),
                file.isatty(), file.read(), file.closed)

for mode in ("r", "rt", "rb", "br"):
    show(mode, lambda: read(TEXT, mode))
show("encoding", lambda: read(TEXT, encoding="latin-1", errors="strict", newline=""))
show("ascii", lambda: read(TEXT, encoding="ascii"))
show("bytes", lambda: read(TEXT.encode(), "rb"))
show("path", lambda: read(pathlib.Path(TEXT)))
show("empty", lambda: read(SITE + "/pkg/empty.txt"))
show("buffered", lambda: [line for line in open(BINARY, "rb", 2)])
show("line buffered", lambda: open(TEXT, buffering=1).line_buffering)
show("unbuffered", lambda: open(BINARY, "rb", 0).read(2))
show("raw", lambda: (lambda f: (f.raw.readall(), f.raw.mode, f.raw.closefd, f.raw.name))(open(BINARY, "rb")))
show("seek", lambda: (lambda f: (f.seek(1), f.read(1), f.tell(), f.peek(1)))(open(BINARY, "rb")))
show("readinto", lambda: open(BINARY, "rb").readinto(bytearray(9)))
show("lines", lambda: list(open(SITE + "/pkg/sub.py", encoding="utf-8")))
show("kinds", lambda: [type(open(TEXT, m)).__name__ for m in ("r", "rb")])
def closed():
    file = open(TEXT)
    file.close()
    return file.closed, file.read()
show("closed", closed)
show("written to", lambda: open(TEXT, "rb").write(b"x"))
show("written to", lambda: open(TEXT).write("x"))
show("truncated", lambda: open(TEXT, "rb").truncate(0))
show("binary encoding", lambda: open(TEXT, "rb", encoding="utf-8"))
show("unbuffered text", lambda: open(TEXT, buffering=0))
show("mode", lambda: open(TEXT, "rw"))
show("mode", lambda: open(TEXT, "rbt"))
show("mode", lambda: open(TEXT, 3))
show("no encoding", lambda: open(TEXT, encoding="none"))
show("closefd", lambda: open(TEXT, closefd=False))
show("opener", lambda: open(TEXT, opener=lambda path, flags: path))
show("arguments", lambda: open(None))
def wrong(call, *args, **named):
    try:
        call(*args, **named)
    except TypeError:
        return True
show("arguments", lambda: [wrong(open), wrong(open, TEXT, None), wrong(open, TEXT, x=1), wrong(os.stat), wrong(os.stat, TEXT, 1),
                           wrong(os.lstat, path=1.5), wrong(os.listdir, 1.5), wrong(os.scandir, 1.5), wrong(os.access, TEXT)])
show("named", lambda: (os.stat(path=TEXT).st_size, open(file=TEXT, mode="rb").read(), len(os.listdir(path=SITE + "/space")),
                       os.access(path=TEXT, mode=os.R_OK), len(list(os.scandir(path=SITE + "/space")))))
show("null", lambda: open(SITE + "/a" + chr(0)))
show("surrogate", lambda: open(SITE + "/" + chr(0xD800)))
show("gone", lambda: open(SITE + "/pkg/gone.txt"))
show("folder", lambda: open(SITE + "/pkg"))
show("below a file", lambda: os.path.exists(TEXT + "/x"))
show("open_code", lambda: io.open_code(SITE + "/single.py").read())
show("names", lambda: (open is io.open, io.open is sys.modules["_io"].open, tokenize._builtin_open is open))

def kind(path):
    found = os.stat(path)
    return (stat.S_ISDIR(found.st_mode), stat.S_ISREG(found.st_mode), found.st_mode, found.st_nlink,
            found.st_uid, found.st_gid, found.st_size if stat.S_ISREG(found.st_mode) else 0,
            os.lstat(path) == found, os.lstat(path).st_mtime_ns == found.st_mtime_ns)

for path in (SITE, SITE + "/", SITE + "/pkg", SITE + "/pkg/./data/", TEXT, SITE + "//pkg/../pkg/data/a.txt",
             SITE + "/pkg/empty.txt", SITE + "/space", "/python-stdlib/os.py", "/python-stdlib/json",
             "site-packages/pkg", "/site-packages/../python-stdlib/os.py", "/site-packages/gone/../pkg",
             "/site-packages/gone", "/site-packages-2", "/gone", "", SITE.encode() + b"/pkg", pathlib.Path(TEXT)):
    show(f"stat {path!r}", lambda: kind(path))
    show("exists", lambda: (os.path.exists(path), os.path.isdir(path), os.path.isfile(path), os.path.islink(path),
                            os.path.lexists(path), os.access(path, os.R_OK), os.access(path, os.F_OK)))
show("file with a slash", lambda: (os.path.exists(TEXT + "/"), os.access(TEXT + "/.", os.R_OK)))
show("size", lambda: os.path.getsize(TEXT))
show("same", lambda: (os.path.samefile(TEXT, SITE + "/pkg/data/../data/a.txt"), os.path.samefile(TEXT, BINARY)))
show("numbers", lambda: len({os.stat(path).st_ino for path in
                             (SITE, SITE + "/pkg", SITE + "/pkg/data", SITE + "/pkg/data/deep", BINARY, TEXT)}))
show("real", lambda: (os.path.realpath(TEXT), str(pathlib.Path(TEXT).resolve(strict=True))))
show("follow", lambda: os.stat(TEXT, follow_symlinks=False).st_size)

for path in (SITE, SITE + "/pkg/data", SITE.encode() + b"/pkg/data", pathlib.Path(SITE) / "pkg", SITE + "/space"):
    show(f"listdir {path!r}", lambda: sorted(set(os.listdir(path)) - {"__pycache__", b"__pycache__"}))
show("listdir", lambda: os.listdir(TEXT))
show("listdir", lambda: os.listdir(SITE + "/gone"))
def refused(call, *args):
    try:
        return call(*args)
    except OSError:
        return "refused"
for path in ("/", "..", "/site-packages/..", "/site-packages/pkg/../..", "/python-stdlib/../site-packages"):
    show(f"listdir {path}", lambda: refused(os.listdir, path))

def entries(path):
    with os.scandir(path) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    return [(e.name, e.path, os.fspath(e), repr(e), e.is_dir(), e.is_file(), e.is_symlink(), e.is_junction(),
             e.stat().st_mode, e.stat(follow_symlinks=False) == os.stat(e), e.inode() == e.stat().st_ino)
            for e in entries if e.name not in ("__pycache__", b"__pycache__")]

show("scandir", lambda: entries(SITE + "/pkg/data"))
show("scandir", lambda: entries(SITE.encode() + b"/pkg"))
show("scandir", lambda: entries(pathlib.Path(SITE) / "space"))
show("scandir", lambda: entries(TEXT))
show("scandir", lambda: entries(SITE + "/gone"))
def half_read():
    found = os.scandir(SITE)
    next(found)
    found.close()
    return list(found)
show("scandir", half_read)
show("walk", lambda: [(folder, listed(folders), sorted(f for f in files if not f.endswith(".pyc")))
                      for folder, folders, files in sorted(os.walk(SITE + "/pkg")) if "__pycache__" not in folder])
show("walk", lambda: len([f for f in os.walk("/python-stdlib/json", topdown=False) if "__pycache__" not in f[0]]))
show("glob", lambda: sorted(glob.glob(SITE + "/pkg/**/*.*", recursive=True)))
show("glob", lambda: sorted(glob.glob("*.txt", root_dir=SITE + "/pkg/")))
show("filecmp", lambda: (filecmp.cmp(TEXT, TEXT), filecmp.cmp(TEXT, BINARY, shallow=False)))
show("fileinput", lambda: list(fileinput.input([SITE + "/single.py"], encoding="utf-8")))
show("linecache", lambda: linecache.getline("/python-stdlib/os.py", 1))
show("tokenize", lambda: tokenize.open(SITE + "/pkg/sub.py").readline())
show("shutil", lambda: (shutil.which("x", path=SITE), shutil._samefile(TEXT, TEXT)))
show("zip", lambda: zipfile.is_zipfile(TEXT))
show("copy", lambda: shutil.copyfileobj(open(TEXT, "rb"), io.BytesIO()))

folder = pathlib.Path(SITE, "pkg")
show("pathlib", lambda: (folder.is_dir(), folder.exists(), folder.is_file(), (folder / "x").exists(), folder.is_symlink()))
show("pathlib", lambda: (folder / "data/a.txt").read_text("utf-8"))
show("pathlib", lambda: (folder / "data/deep/b.bin").read_bytes())
show("pathlib", lambda: listed(path.name for path in folder.iterdir()))
show("pathlib", lambda: sorted(map(str, folder.rglob("*.txt"))))
show("pathlib", lambda: sorted(map(str, folder.glob("d*/*"))))
show("pathlib", lambda: [(str(top), listed(folders)) for top, folders, _ in folder.walk() if top == folder])
show("pathlib", lambda: (folder.info.is_dir(), (folder / "empty.txt").stat().st_size, (folder / "sub.py").open().readline()))
show("pathlib", lambda: (folder / "gone").read_text())

show("frozen", lambda: inspect.getsource(os.fspath).splitlines()[0])

# What replaces a built-in function can be told apart from it by its type alone.
for function in (open, io.open_code, os.stat, os.lstat, os.access, os.listdir, os.scandir):
    show("function", lambda: (repr(function), function.__name__, function.__qualname__, len(function.__doc__),
                              str(inspect.signature(function)), callable(function), inspect.isbuiltin(function),
                              inspect.isroutine(function), isinstance(function, types.BuiltinFunctionType),
                              copy.deepcopy(function) is function, pickle.loads(pickle.dumps(function)) is function,
                              hash(function) == hash(function), function == function, function.__self__.__name__))
class Opens:
    opener = open
    look = os.stat
show("attribute", lambda: (Opens().opener(TEXT, "rb").read(), Opens().look(TEXT).st_size))
show("supported", lambda: [[f in functions for f in (os.stat, os.access, os.listdir, os.scandir)] for functions in
                           (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids)])
heard = []
sys.addaudithook(lambda event, args: heard.append((event, args[0])) if event in ("open", "os.listdir", "os.scandir") else None)
open(TEXT).close(), os.listdir(SITE), os.scandir(SITE).close()
show("audited", lambda: [(event, path) for event, path in heard if not path.endswith("a.txt") or event == "open"][:1])
