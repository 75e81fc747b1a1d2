# Serves the archive's files to code that opens them by their paths.
#
# Built-in functions are replaced by objects that call them for all that is not embedded.
# They are no Python functions, which would become methods of a class that has one among
# its attributes, and they say of themselves what the built-in ones say.

import io
import os
import posix
from errno import ENOTDIR
from os import fsdecode, fsencode, fspath, stat_result

ROOTS = ("/python-stdlib", "/site-packages")
READING = ("r", "rt", "tr", "rb", "br")

# What the mounts say at build time of a folder and of a file. The embedded ones have
# other numbers, sizes and devices: none of them is the same file as a mounted one.
FOLDER = posix.stat("/python-stdlib").__reduce__()[1]
FILE = posix.stat("/python-stdlib/os.py").__reduce__()[1]
NUMBER, DEVICE, SIZE = 1, 2, 6


def embedded(path):
    # How the archive spells `path`; None for one that leads elsewhere.
    try:
        path = fsdecode(path)
    except TypeError:
        return None
    if not path.startswith("/"):
        path = posix.getcwd().rstrip("/") + "/" + path
    if not path.startswith(ROOTS):
        return None
    parts = []
    for part in path.split("/"):
        if part == "..":
            # Mounts do not lead out of themselves, nor does a folder that is not there.
            if len(parts) < 2 or not is_folder("/" + "/".join(parts)):
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    spelt = "/" + "/".join(parts)
    if is_folder(spelt) or is_file(spelt) and not path.endswith(("/", "/.")):
        return spelt
    return None


def is_file(path):
    member = find(path)
    return member is not None and table[WORDS * member + CONTENT] != 0


def status(path):
    if is_folder(path):
        like = FOLDER
        size = like[0][SIZE]
        # Of folders that begin with the same file, the deeper one has more slashes.
        number = place(path.encode() + b"/") << 8 | path.count("/")
    else:
        like = FILE
        size = table[WORDS * find(path) + CONTENT + 2]
        number = find(path) << 8
    fields = list(like[0])
    fields[NUMBER], fields[DEVICE], fields[SIZE] = number, ~fields[DEVICE] & 0xFFFF, size
    return stat_result(fields, like[1])


def names_in(folder):
    found = ((name, f"{folder}/{name}") for name in children(folder))
    return [name for name, path in found if is_folder(path) or is_file(path)]


class Served:
    # Stands for `original`, which lies in `module` under its name.

    def __init__(self, original, module):
        self.original = original
        self.__doc__ = original.__doc__
        self.__module__ = module

    def __getattr__(self, name):
        return getattr(self.original, name)

    def __repr__(self):
        return repr(self.original)

    def __reduce__(self):
        return self.original.__name__

    @property
    def __class__(self):
        return type(self.original)

    @property
    def __signature__(self):
        from inspect import signature

        return signature(self.original)


class Stat(Served):
    def __call__(self, path, *, dir_fd=None, follow_symlinks=True):
        found = None if dir_fd is not None else embedded(path)
        if found is not None:
            return status(found)
        return self.original(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)


class Lstat(Served):
    def __call__(self, path, *, dir_fd=None):
        found = None if dir_fd is not None else embedded(path)
        if found is not None:
            return status(found)
        return self.original(path, dir_fd=dir_fd)


class Access(Served):
    def __call__(self, path, mode, *, dir_fd=None, effective_ids=False, follow_symlinks=True):
        if dir_fd is None and embedded(path) is not None:
            return not mode & os.W_OK
        options = {"effective_ids": effective_ids, "follow_symlinks": follow_symlinks}
        return self.original(path, mode, dir_fd=dir_fd, **options)


class Listdir(Served):
    def __call__(self, path=None):
        folder = embedded("." if path is None else path)
        if folder is None:
            return self.original(path)
        sys.audit("os.listdir", path)
        if not is_folder(folder):
            raise NotADirectoryError(ENOTDIR, strerror(ENOTDIR), path)
        names = names_in(folder)
        if isinstance(path, bytes):
            names = list(map(fsencode, names))
        try:
            mounted = self.original(path)
        except OSError:
            return names
        known = set(names)
        return names + [name for name in mounted if name not in known]


class Scandir(Served):
    def __call__(self, path=None):
        folder = embedded("." if path is None else path)
        if folder is None:
            return self.original(path)
        sys.audit("os.scandir", path)
        if not is_folder(folder):
            raise NotADirectoryError(ENOTDIR, strerror(ENOTDIR), path)
        where = fspath("." if path is None else path)
        entries = [Entry(where, folder, name) for name in names_in(folder)]
        names = {entry.name for entry in entries}
        try:
            with self.original(path) as mounted:
                entries += [entry for entry in mounted if entry.name not in names]
        except OSError:
            pass
        return Scan(entries)


class Scan:
    def __init__(self, entries):
        self.entries = iter(entries)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.entries)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        self.entries = iter(())


class Entry:
    # What `os.DirEntry` is, which only `os.scandir` makes.

    def __init__(self, where, folder, name):
        self.embedded = f"{folder}/{name}"
        self.name = fsencode(name) if isinstance(where, bytes) else name
        self.path = os.path.join(where, self.name)

    def __fspath__(self):
        return self.path

    def __repr__(self):
        return f"<DirEntry {self.name!r}>"

    def is_dir(self, *, follow_symlinks=True):
        return is_folder(self.embedded)

    def is_file(self, *, follow_symlinks=True):
        return not is_folder(self.embedded)

    def is_symlink(self):
        return False

    def is_junction(self):
        return False

    def stat(self, *, follow_symlinks=True):
        return status(self.embedded)

    def inode(self):
        return status(self.embedded).st_ino


class Content(io.BytesIO):
    # What `FileIO` is, without a file: its bytes are those of the archive, or a copy that
    # is made where they are compressed.
    mode = "rb"
    closefd = True

    def __init__(self, data, name):
        super().__init__(data)
        self.name = name

    def __repr__(self):
        return f"<embedded file name={self.name!r} mode='rb'>"

    def readall(self):
        return self.read()

    def writable(self):
        return False

    def write(self, data):
        raise io.UnsupportedOperation("not writable")

    def truncate(self, size=None):
        raise io.UnsupportedOperation("not writable")


class Open(Served):
    def __call__(
        self,
        file,
        mode="r",
        buffering=-1,
        encoding=None,
        errors=None,
        newline=None,
        closefd=True,
        opener=None,
    ):
        given = (file, mode, buffering, encoding, errors, newline, closefd, opener)
        if mode not in READING:
            return self.written(*given)
        binary = "b" in mode
        for_text = (encoding, errors, newline) != (None, None, None)
        found = embedded(file) if closefd and opener is None else None
        # What is not allowed, the built-in function says.
        if found is None or binary and for_text:
            return self.original(*given)
        if not binary and buffering == 0:
            raise ValueError("can't have unbuffered text I/O")
        name = fspath(file)
        sys.audit("open", name, mode, 0)
        if is_folder(found):
            raise IsADirectoryError(EISDIR, strerror(EISDIR), name)
        opened = Content(content(found), name)
        if buffering != 0:
            size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
            opened = io.BufferedReader(opened, size)
        if not binary:
            opened = io.TextIOWrapper(opened, encoding, errors, newline, buffering == 1)
            opened.mode = mode
        return opened

    def written(self, file, *options):
        try:
            return self.original(file, *options)
        except FileNotFoundError:
            name = fspath(file)
            if embedded(name) is None and embedded(os.path.dirname(name)) is None:
                raise
            raise OSError(EROFS, strerror(EROFS), name) from None


class OpenCode(Served):
    def __call__(self, path):
        if embedded(path) is not None:
            return io.open(path, "rb")
        return self.original(path)


def serve(kinds):
    # Modules that were imported before have built-in functions among their names.
    served = {}
    for kind, module, name in kinds:
        original = getattr(module, name)
        served[id(original)] = kind(original, module.__name__)
    for functions in (
        os.supports_dir_fd,
        os.supports_effective_ids,
        os.supports_fd,
        os.supports_follow_symlinks,
    ):
        functions.update([served[id(f)] for f in functions if id(f) in served])
    for module in list(sys.modules.values()):
        # The import system, which uses `posix`, has finders of its own for the archive.
        if module is not posix and isinstance(module, type(sys)):
            names = vars(module)
            for name in [name for name in names if id(names[name]) in served]:
                names[name] = served[id(names[name])]


serve(
    [
        (Open, io, "open"),
        (OpenCode, io, "open_code"),
        (Stat, os, "stat"),
        (Lstat, os, "lstat"),
        (Access, os, "access"),
        (Listdir, os, "listdir"),
        (Scandir, os, "scandir"),
    ]
)
