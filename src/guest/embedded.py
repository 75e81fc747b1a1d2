# Serves what Python may import from one bytes object, as zipimport does from a file.
#
# `path` is a file that only exists now: the archive, whose layout packages/embed.rs
# writes. Nothing is kept but its bytes and two views of them: looking something up reads
# those pages, and writes none.

import marshal
import sys
import zlib
from _imp import _fix_co_filename, extension_suffixes
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import ExtensionFileLoader, FileFinder, SourceFileLoader
from _frozen_importlib_external import SourcelessFileLoader, spec_from_file_location
from _io import FileIO
from errno import EISDIR, ENOENT, EROFS
from posix import remove, strerror

# Words of a member: place and length of its name; place, stored and whole length of its
# code; the same of its content. What has no place is not there.
WORDS = 8
NAME, CODE, CONTENT = 0, 2, 5

with FileIO(path) as file:
    archive = file.readall()
remove(path)
view = memoryview(archive)
count = int.from_bytes(archive[:4], "little")
table = view[4 : 4 + 4 * WORDS * count].cast("I")


def name_of(member):
    at = WORDS * member
    start = table[at]
    return archive[start : start + table[at + 1]]


def place(key):
    # The first member that does not sort before `key`.
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if name_of(middle) < key:
            low = middle + 1
        else:
            high = middle
    return low


def starting(prefix):
    member = place(prefix)
    while member < count:
        name = name_of(member)
        if not name.startswith(prefix):
            return
        yield name[len(prefix) :], member
        member += 1


def find(path):
    try:
        key = path.encode()
    except UnicodeEncodeError:
        return None
    member = place(key)
    if member < count and name_of(member) == key:
        return member
    return None


def is_folder(path):
    try:
        key = path.encode() + b"/"
    except UnicodeEncodeError:
        return False
    member = place(key)
    return member < count and name_of(member).startswith(key)


def children(folder):
    prefix = folder.encode() + b"/"
    member = place(prefix)
    while member < count:
        name = name_of(member)
        if not name.startswith(prefix):
            return
        child, slash, _ = name[len(prefix) :].partition(b"/")
        if child:
            yield child.decode()
        # Behind all that is in a folder: "0" comes after "/".
        member = place(prefix + child + b"0") if slash and child else member + 1


def read(member, part):
    at = WORDS * member + part
    start, stored, whole = table[at], table[at + 1], table[at + 2]
    if not start:
        return None
    data = view[start : start + stored]
    return data if stored == whole else zlib.decompress(data, bufsize=whole)


def content(path):
    member = find(path)
    data = None if member is None else read(member, CONTENT)
    if data is None:
        raise FileNotFoundError(ENOENT, strerror(ENOENT), path)
    return bytes(data)


class Embedded:
    # In front of a loader of files: their content comes from the archive.

    def get_data(self, path):
        try:
            return content(str(path))
        except FileNotFoundError:
            return super().get_data(path)


class SourceLoader(Embedded, SourceFileLoader):
    def set_data(self, path, data, *, _mode=0o666):
        pass


class CodeLoader(SourceLoader):
    def get_code(self, fullname):
        path = self.get_filename(fullname)
        code = marshal.loads(read(find(path), CODE))
        _fix_co_filename(code, path)
        return code

    def get_source(self, fullname):
        # Where sources are left out, there is none, as without one beside a .pyc.
        member = find(self.get_filename(fullname))
        if not table[WORDS * member + CONTENT]:
            return None
        return super().get_source(fullname)


class BytecodeLoader(Embedded, SourcelessFileLoader):
    pass


class ExtensionLoader(Embedded, ExtensionFileLoader):
    pass


def source_loader(member):
    return CodeLoader if table[WORDS * member + CODE] else SourceLoader


def module_spec(fullname, stem, locations):
    # The files that may be the module, in the order in which Python looks for them.
    found = dict(starting(stem.encode() + b"."))
    for suffix in extension_suffixes():
        member = found.get(suffix[1:].encode())
        if member is not None:
            loader = ExtensionLoader(fullname, stem + suffix)
            break
    else:
        if b"py" in found:
            suffix = ".py"
            loader = source_loader(found[b"py"])(fullname, stem + suffix)
        elif b"pyc" in found:
            suffix = ".pyc"
            loader = BytecodeLoader(fullname, stem + suffix)
        else:
            return None
    return spec_from_file_location(
        fullname, stem + suffix, loader=loader, submodule_search_locations=locations
    )


class Finder:
    # What finds modules in one folder of the archive; what is not there, in the folder
    # that is mounted at the same place.

    def __init__(self, path):
        self.path = path
        self.mounted = None

    def __repr__(self):
        return f"EmbeddedFinder({self.path!r})"

    def find_spec(self, fullname, target=None):
        base = f"{self.path}/{fullname.rpartition('.')[2]}"
        try:
            folder = is_folder(base)
            spec = module_spec(fullname, base + "/__init__", [base]) if folder else None
            spec = spec or module_spec(fullname, base, None)
        except UnicodeEncodeError:
            return None
        if spec is None and folder:
            spec = ModuleSpec(fullname, None)
            spec.submodule_search_locations = [base]
        return spec or self.behind().find_spec(fullname, target)

    def behind(self):
        if self.mounted is None:
            self.mounted = FileFinder(
                self.path,
                (ExtensionFileLoader, extension_suffixes()),
                (SourceFileLoader, [".py"]),
                (SourcelessFileLoader, [".pyc"]),
            )
        return self.mounted

    def invalidate_caches(self):
        self.mounted = None

    def iter_modules(self, prefix=""):
        from inspect import getmodulename

        seen = {"__init__"}
        for name in sorted(children(self.path)):
            module = getmodulename(name)
            path = f"{self.path}/{name}"
            package = False
            if not module and "." not in name and is_folder(path):
                module = name
                package = any(getmodulename(file) == "__init__" for file in children(path))
                if not package:
                    continue
            if module and "." not in module and module not in seen:
                seen.add(module)
                yield prefix + module, package


def finder(path):
    if not isinstance(path, str) or not is_folder(path):
        raise ImportError("not embedded", path=path)
    return Finder(path)


def loaded_before():
    # What start-up imported came from files: its sources are in the archive.
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        loader = getattr(spec, "loader", None)
        if type(loader) is not SourceFileLoader:
            continue
        member = find(loader.path)
        if member is None:
            continue
        new = source_loader(member)(loader.name, loader.path)
        spec.loader = new
        if getattr(module, "__loader__", None) is loader:
            module.__loader__ = new


sys.path_hooks.insert(0, finder)
sys.path_importer_cache.clear()
loaded_before()
