# Everyday use: what code at import time tends to do.
import base64, bisect, collections, contextlib, copy, dataclasses, datetime, decimal, enum
import fractions, functools, hashlib, heapq, io, itertools, json, math, operator, os, pathlib
import pickle, random, re, shlex, statistics, string, struct, sys, tempfile, textwrap, time
import traceback, types, typing, uuid, warnings, weakref, zlib, csv, configparser, logging
import abc, ast, asyncio, inspect, threading, unicodedata, urllib.parse, html, secrets

def attempt(thing):
    try:
        return thing()
    except BaseException:
        return traceback.format_exc()

@attempt
def numbers():
    values = [1, -2, 3.5, 10**30, 2**200, 1j, True, 0x7FFFFFFF, 1e308]
    for a in values:
        for op in (operator.neg, abs, repr, str, hash, bool):
            attempt(lambda: op(a))
        for b in values:
            for op in (operator.add, operator.sub, operator.mul, operator.truediv,
                       operator.floordiv, operator.mod, operator.lt, operator.eq, divmod):
                attempt(lambda: op(a, b))
            if abs(b) < 100:
                attempt(lambda: a ** b)
    for a, b in ((6, 3), (2**70, 5)):
        a & b, a | b, a ^ b, a << b, a >> b, ~a, a.bit_length(), a.to_bytes(12, "big")
    int("123"), int("ff", 16), float("1.5"), complex("1+2j"), round(2.567, 2), f"{3.14159:.2f}"
    f"{10**20:,}", f"{255:#x}", f"{5:>10}", "%d %s %r %.3f" % (1, "a", "b", 2.5), bin(10), oct(8)
    complex(1, 2), complex(True, 2.5), complex(1j, 1j).conjugate(), complex("1") == 1, (1j).real, (1j).imag
    math.sqrt(2), math.sin(1), math.factorial(20), math.gcd(12, 18), math.isclose(1, 1.0), math.log(10)
    statistics.mean([1, 2, 3]), fractions.Fraction(1, 3) + fractions.Fraction(1, 6)
    with decimal.localcontext() as ctx:
        ctx.prec = 50
        str(decimal.Decimal(2).sqrt() / 3 + decimal.Decimal("1e-5") * 7)

@attempt
def text():
    s = "Hello, Wörld! " * 10
    s.upper(), s.lower(), s.title(), s.casefold(), s.split(), s.split(","), s.rsplit(None, 2)
    s.replace("l", "L"), s.find("W"), s.rfind("W"), s.index("W"), s.count("l"), s.partition(",")
    s.strip(), s.center(300), s.zfill(300), s.encode(), s.encode("utf-16"), s.encode("latin-1")
    s.startswith("He"), s.endswith(("x", " ")), s.isalpha(), s.isdigit(), s.splitlines(), s.expandtabs()
    s.translate({ord("l"): "L"}), s[::-1], s[2:5], "a" in s, s * 2, ",".join(["a", "b"]), s.format()
    "{} {a[0]} {b.real:>{w}}".format(1, a=[1], b=2, w=5), ascii(s), repr(s), s.encode().decode()
    attempt(lambda: b"\xff".decode()), b"\xff".decode("utf-8", "replace"), b"ab".hex(), bytes.fromhex("00ff")
    bytearray(b"abc").extend(b"d"), memoryview(b"abc")[1:].tobytes(), b"a,b".split(b",")
    textwrap.fill(s, 40), textwrap.dedent("  a\n  b"), string.Template("$a").substitute(a=1)
    unicodedata.normalize("NFC", "e\u0301"), unicodedata.name("é"), html.escape("<a>"), shlex.split("a 'b c'")
    urllib.parse.urlparse("https://u@h:1/p?q=1#f"), urllib.parse.quote("a b"), urllib.parse.parse_qs("a=1&b=2")
    re.sub(r"(\w+) (?P<n>\d+)", r"\g<n>", "abc 12"), re.findall(r"[a-z]+?|\d{2,}", "abc 123")
    re.compile(r"^(?:a|b)*(?=c)(?!d)\s", re.I | re.M | re.X).search("aabc "), re.split(r"\W+", s)
    re.match(r"(a+)+b?", "aaaa").groups(), [m.span() for m in re.finditer("l", s)], re.escape("a.b")

@attempt
def containers():
    d = {str(i): i for i in range(200)}
    d.pop("1"), d.get("x", 0), d.setdefault("y", []), d.update(a=1), d | {"z": 1}, sorted(d), dict(d).popitem()
    list(d.items()), max(d, key=str), {**d}, dict.fromkeys("abc"), d == dict(d), d.copy().clear()
    l = list(range(100)); l.sort(key=lambda x: -x); l.reverse(); l.insert(3, 1); l.remove(5); l.pop(); del l[2:4]
    l[1:3] = [9, 9, 9]; l.extend((1, 2)); l.index(9); l.count(9); l + l; l * 2; l == l[:]; tuple(l) < tuple(l[:])
    s = set(l); s | {1000}, s & {1, 2}, s - {1}, s ^ {1}, s <= s, frozenset(s), s.add(5), s.discard(7)
    a, *b, c = l; [x for y in range(3) for x in range(y) if x]; {x for x in l}; any(l), all(l), sum(l), min(l)
    collections.Counter("abcabc").most_common(1), collections.OrderedDict(a=1).move_to_end("a")
    collections.defaultdict(list)["a"].append(1), collections.deque([1, 2], 5).rotate(1), collections.ChainMap({}, {})
    P = collections.namedtuple("P", "x y"); P(1, 2)._replace(x=3), heapq.nlargest(2, l), bisect.bisect(sorted(l), 5)
    list(itertools.chain([1], [2])), list(itertools.groupby("aab")), list(itertools.product("ab", repeat=2))
    list(itertools.islice(itertools.count(), 3)), list(zip(l, l)), list(map(str, l)), list(filter(None, l)), list(enumerate(l))
    list(itertools.permutations("abc")), list(itertools.accumulate(l)), list(reversed(l)), copy.deepcopy({"a": [1, {2}]})

@attempt
def classes():
    @dataclasses.dataclass(order=True, frozen=True)
    class D:
        a: int
        b: str = "x"
        c: list = dataclasses.field(default_factory=list)
    D(1) < D(2), repr(D(1)), dataclasses.asdict(D(1)), dataclasses.replace(D(1), a=2)
    class E(enum.IntFlag):
        A = 1
        B = 2
    E.A | E.B, E(1), list(E)
    class Base(abc.ABC):
        __slots__ = ("x", "__weakref__")
        @abc.abstractmethod
        def f(self): ...
        @property
        def p(self): return 1
        @staticmethod
        def s(): return 1
        @classmethod
        def c(cls): return cls
        def __getattr__(self, name): raise AttributeError(name)
    class Child(Base):
        def f(self): return super().__repr__()
        def __enter__(self): return self
        def __exit__(self, *a): return True
        def __len__(self): return 1
        def __getitem__(self, i): return [1][i]
        def __iter__(self): yield from (1, 2)
        def __call__(self, *a, **k): return a, k
        def __eq__(self, o): return True
        def __hash__(self): return 1
        def __add__(self, o, m=None): return self
        __sub__ = __mul__ = __truediv__ = __floordiv__ = __mod__ = __pow__ = __matmul__ = __and__ = __or__ = __xor__ = __lshift__ = __rshift__ = __add__
        __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rpow__ = __rmatmul__ = __rand__ = __ror__ = __rxor__ = __add__
        __iadd__ = __isub__ = __imul__ = __ipow__ = __ior__ = __iand__ = __add__
        def __neg__(self): return self
        __pos__ = __invert__ = __abs__ = __neg__
        def __round__(self, digits=0): return 1
        __trunc__ = __floor__ = __ceil__ = __int__ = __index__ = lambda self: 1
        def __bool__(self): return True
        def __float__(self): return 1.0
        def __complex__(self): return 1j
        def __bytes__(self): return b"x"
        def __format__(self, form): return form
        def __setitem__(self, i, value): pass
        def __delitem__(self, i): pass
        def __setattr__(self, name, value): super().__setattr__(name, value)
        def __delattr__(self, name): super().__delattr__(name)
        def __reversed__(self): return iter(())
        def __next__(self): raise StopIteration
        def __lt__(self, o): return True
        __le__ = __gt__ = __ge__ = __ne__ = __lt__
        def __contains__(self, o): return True
        def __del__(self): pass
    c = Child()
    with c:
        raise ValueError("x") from KeyError("y")
    c.f(), c.p, c.s(), c.c(), len(c), c[0], list(c), c(1, a=2), c == c, {c}, c + c, 1 in c, weakref.ref(c)()
    attempt(lambda: c.missing), isinstance(c, Base), issubclass(Child, Base), getattr(c, "x", None), dir(c), type("T", (), {})
    weakref.WeakValueDictionary()["a"] = c; weakref.finalize(c, print, end=""); inspect.signature(Child.f); typing.get_type_hints(D)
    for o in (1, 2.5, "a", c):
        for op in (operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow, operator.matmul,
                   operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift, divmod, operator.iadd, operator.isub,
                   operator.imul, operator.ipow, operator.ior, operator.iand, operator.lt, operator.le, operator.gt, operator.ge, operator.ne):
            attempt(lambda: op(c, o)), attempt(lambda: op(o, c))
    pow(c, 2, 3), -c, +c, ~c, abs(c), round(c), round(c, 1), int(c), float(c), complex(c), bytes(c), f"{c:x}", math.floor(c), math.ceil(c), math.trunc(c)
    attempt(lambda: operator.setitem(c, 1, 2)), attempt(lambda: operator.delitem(c, 1)), list(reversed(c)), attempt(lambda: next(c)), [1][c:], range(c)
    attempt(lambda: setattr(c, "x", 1)), attempt(lambda: delattr(c, "x")), sorted([c, c]), bool(c)
    cached = functools.lru_cache(maxsize=None)(lambda x: x); cached(1), cached(1), cached(c), cached.cache_info(), cached.cache_clear()
    bounded = functools.lru_cache(maxsize=2, typed=True)(lambda *x, **k: x); bounded(1), bounded(1, a=2), bounded(2), bounded(1), bounded("a"), functools.cache(len)("a")
    functools.lru_cache(maxsize=0)(lambda x: x)(1); functools.lru_cache(maxsize=2)(lambda x: x)(1); functools.partial(int, base=2)("1"); functools.reduce(operator.add, [1, 2])
    functools.singledispatch(lambda x: x)(1); functools.wraps(c.f)(lambda: 1); typing.Optional[int]; typing.List["D"]; int | None
    match {"k": [1, 2, D(1)]}:
        case {"k": [1, *rest]} if rest: pass

@attempt
def flow():
    def gen():
        try:
            got = yield 1
            yield got
        finally:
            pass
    g = gen(); next(g); g.send(5); g.close(); attempt(lambda: gen().throw(ValueError("x")))
    async def co(n):
        async with asyncio.Lock():
            await asyncio.sleep(0)
        return n
    async def agen():
        yield 1
    async def main():
        async for _ in agen(): pass
        return await asyncio.gather(co(1), co(2))
    for thing in (lambda: 1 / 0, lambda: [][1], lambda: {}["a"], lambda: int("x"), lambda: None.x, lambda: undefined,
                  lambda: "a" + 1, lambda: open("/nope"), lambda: exec("a b"), lambda: next(iter([])), lambda: (_ for _ in ()).throw(KeyboardInterrupt)):
        attempt(thing)
    attempt(lambda: ExceptionGroup("g", [ValueError(1)]).split(ValueError))
    def deep(n): return n and deep(n - 1)
    deep(200); attempt(lambda: deep(10**6))
    with contextlib.suppress(KeyError), contextlib.redirect_stdout(io.StringIO()):
        print("x", 1, [2], {"a": None}, end="\n"); {}["x"]
    warnings.warn("w", DeprecationWarning); eval("1 + 2 * (3 if x else 4)", {"x": 1}); exec("def f(a, /, b, *, c=1): return a\nf(1, 2)")
    compile(ast.parse("import os\nfor i in range(3):\n  x = lambda: i"), "<s>", "exec"); ast.unparse(ast.parse("a = b + 1")); ast.dump(ast.parse("x"))
    global _main
    _main = main

@attempt
def data():
    o = {"a": [1, 2.5, None, True, "é\n"], "b": {"c": "d" * 100}}
    json.loads(json.dumps(o)), json.dumps(o, indent=2, sort_keys=True), attempt(lambda: json.loads("{")), json.loads('[1e5, "\\u00e9"]')
    pickle.loads(pickle.dumps([o, datetime.date(2025, 1, 1), {1, 2}, b"x"])), struct.unpack("<IHd", struct.pack("<IHd", 1, 2, 3.0))
    base64.b64decode(base64.b64encode(b"abc")), zlib.decompress(zlib.compress(b"abc" * 100)), zlib.crc32(b"a")
    hashlib.sha256(b"a").hexdigest(), hashlib.md5(b"a").hexdigest(), hashlib.blake2b(b"a").digest(), hashlib.sha3_256(b"a")
    random.seed(1); random.random(), random.randint(1, 6), random.choice("abc"), random.sample(range(9), 3), random.gauss(0, 1)
    uuid.uuid4(), secrets.token_hex(4), time.time(), time.strftime("%Y", time.gmtime()), time.monotonic()
    n = datetime.datetime(2025, 1, 2, 3, 4, tzinfo=datetime.timezone.utc); n.isoformat(), n + datetime.timedelta(days=1), n.strftime("%c")
    datetime.datetime.fromisoformat("2025-01-02T03:04:05+00:00"), datetime.datetime.strptime("2025", "%Y"), n.timestamp(), n.astimezone()
    list(csv.reader(["a,b", "1,'x y'"])), csv.writer(io.StringIO()).writerow([1, "a,b"]), configparser.ConfigParser().read_string("[a]\nb=1")
    io.BytesIO(b"abc").read(2), io.TextIOWrapper(io.BytesIO(b"a\nb")).readlines(), io.StringIO("a\nb").readline()
    n.strftime("%c %Z %z %:z %f"), datetime.time(1, 2, tzinfo=datetime.timezone.utc).strftime("%Z"), datetime.date(2025, 1, 2).strftime("%x")
    buffer = io.StringIO(); [buffer.write("ab") for _ in range(9)]; buffer.getvalue(); buffer.write("c"); buffer.getvalue(), buffer.truncate(2), buffer.seek(0), buffer.read()
    pathlib.PurePosixPath("/a/b.c").with_suffix(".d"), os.path.join("a", "b"), os.path.splitext("a.b"), os.listdir("/python-stdlib"), os.stat("/python-stdlib/os.py")
    pathlib.Path("/python-stdlib/abc.py").read_text(); open("/python-stdlib/os.py", "rb").read(10); os.environ.get("HOME"); os.getcwd()
    logging.getLogger("x").warning("y %s", 1); logging.getLogger("x").addHandler(logging.StreamHandler(io.StringIO())); threading.local().x = 1
    threading.Lock().acquire(); types.SimpleNamespace(a=1); types.MappingProxyType({}); sys.getsizeof([]); sys.exc_info(); sys.intern("abc")
    import gc; gc.collect(); sys.getrefcount(o); copy.copy(o); globals(); locals(); vars(sys); id(o); callable(o); chr(65); ord("A"); hex(10)

await _main()

@attempt
def generators():
    # What is looked for before the snapshot (src/reseed.py): seeded by the system
    # or not, used or not.
    global kept
    kept = [random.Random(), random.Random(), random.Random(5), random.Random("x")]
    for _ in range(2000):
        kept[0].random()
    kept[0].gauss(0, 1), kept[0].getrandbits(100), random.random(), uuid.uuid1(), uuid.getnode()
    kept[1].seed(b"x"), kept[1].getstate(), kept[1].setstate(kept[1].getstate()), random.seed()
    attempt(tempfile.gettempdir), attempt(lambda: next(tempfile._get_candidate_names()))
    class Sub(random.Random): pass
    kept.append(Sub())

# A section that stopped early would leave its functions out of the profile.
_failed = [_result for _result in (numbers, text, containers, classes, flow, data, generators) if _result]
assert not _failed, "".join(_failed)


def metadata():
    # A package that asks for its own version while it is imported.
    import importlib.metadata
    import sys
    folder = os.path.join(tempfile.mkdtemp(), "everyday-1.0.dist-info")
    os.mkdir(folder)
    for name, content in [("METADATA", "Metadata-Version: 2.1\nName: everyday\nVersion: 1.0\n\nText.\n"),
                          ("RECORD", "everyday.py,,\n"),
                          ("entry_points.txt", "[group]\nname = module:call\n")]:
        with open(os.path.join(folder, name), "w") as file:
            file.write(content)
    sys.path.append(os.path.dirname(folder))
    try:
        importlib.metadata.version("everyday"), importlib.metadata.metadata("everyday")["Name"]
        list(importlib.metadata.files("everyday")), importlib.metadata.entry_points(group="group")
        list(importlib.metadata.distributions())
        importlib.metadata.version("not-there")
    except importlib.metadata.PackageNotFoundError as error:
        str(error)
    sys.path.pop()
    sys.path_importer_cache.clear()



def by_path():
    # A package that reads its own files; embedded ones go another way.
    import glob, io, linecache, pkgutil, shutil, tokenize, zipfile
    for folder in ("/python-stdlib", "/site-packages", "/python-stdlib/json/../json", "/nowhere", b"/python-stdlib"):
        attempt(lambda: [(e.name, e.path, e.is_dir(), e.is_file(), e.stat()) for e in os.scandir(folder)])
        attempt(lambda: os.listdir(folder)), attempt(lambda: os.stat(folder)), attempt(lambda: os.lstat(folder))
        attempt(lambda: list(os.walk(folder + "/json"))), os.path.exists(folder), os.path.isfile(folder), os.access(folder, os.R_OK)
    path = "/python-stdlib/json/scanner.py"
    for mode in ("r", "rb", "w", "rbt", "a"):
        attempt(lambda: open(path, mode).read()), attempt(lambda: open(path + "/gone", mode))
    attempt(lambda: open(path, encoding="latin-1", newline="").readlines()), attempt(lambda: open(path, "rb", 0).read(9))
    attempt(lambda: open(path, "rb", 2).readline()), attempt(lambda: open("/python-stdlib")), attempt(lambda: open(path).seek(2))
    attempt(lambda: [open(path).write("x")]), attempt(lambda: io.open_code(path).read()), attempt(lambda: linecache.getline(path, 1))
    folder = pathlib.Path("/python-stdlib/json")
    attempt(lambda: list(folder.rglob("*.py"))), attempt(lambda: list(folder.iterdir())), attempt(lambda: (folder / "scanner.py").resolve())
    attempt(lambda: glob.glob("/python-stdlib/json/*.py")), attempt(lambda: tokenize.open(path)), attempt(lambda: shutil.copy(path, tempfile.mkdtemp()))
    attempt(lambda: inspect.signature(open)), attempt(lambda: pickle.loads(pickle.dumps(os.stat))), attempt(lambda: zipfile.is_zipfile(path))


metadata()
by_path()
