# Every method of every usual type, with arguments of every usual kind: what packages do
# while they are imported is a choice of that.
def methods():
    import bisect, cmath, codecs, heapq, math, time, unicodedata
    import collections, contextlib, datetime, decimal, enum, functools, io, itertools, operator
    import pathlib, re, string, struct, sys, threading, types, typing, warnings, weakref

    warnings.simplefilter("ignore")
    # They wait, end something, or are not for every object.
    skipped = {"acquire", "get", "join", "wait", "put", "exit", "__del__", "breakpoint", "sleep",
               "__init_subclass__", "__subclasshook__", "__setstate__", "detach", "clear_frames"}

    def attempt(call, *arguments):
        try:
            return call(*arguments)
        except BaseException as error:
            return error

    class Plain:
        "doc"
        value: int = 1

        def method(self, a, b=2, *c, d: "int" = 3, **e) -> str:
            return a

        def __lt__(self, other):
            return id(self) < id(other)

    class Slots:
        __slots__ = "a", "__weakref__"

    class Full(dict):
        def __getattr__(self, name): return self[name]
        def __missing__(self, key): return key
        def __bool__(self): return True
        def __int__(self): return 1
        def __index__(self): return 1
        def __float__(self): return 1.0
        def __format__(self, form): return form
        def __enter__(self): return self
        def __exit__(self, *error): return True
        def __radd__(self, other): return other
        def __iadd__(self, other): return self
        def __set_name__(self, owner, name): pass
        def __get__(self, instance, owner): return self
        def __matmul__(self, other): return self

    class Color(enum.Flag):
        RED = 1
        BLUE = 2

    def cell(): return kinds

    def generator():
        got = yield 1
        yield got

    async def coroutine(): pass

    T = typing.TypeVar("T", bound=int)

    class Generic(typing.Generic[T], typing.Protocol): pass

    kinds = [
        lambda: "text é ", lambda: "Ünïcode 蛇 𝄞", lambda: "", lambda: "a,b\tc\n" * 9, lambda: b"bytes \xff",
        lambda: bytearray(b"bytes"), lambda: memoryview(b"bytes"), lambda: memoryview(bytearray(8)).cast("I"),
        lambda: 3, lambda: -7, lambda: 0, lambda: 10 ** 30, lambda: -(2 ** 70), lambda: True, lambda: 2.5,
        lambda: -1e300, lambda: float("nan"), lambda: 1 + 2j, lambda: None, lambda: ..., lambda: NotImplemented,
        lambda: [3, 1, 2], lambda: ["b", "a"], lambda: [], lambda: (1, "a", None), lambda: (), lambda: {"a": 1, "b": [2]},
        lambda: {1: 2, None: 3, (): 4}, lambda: {}, lambda: {1, 2, 3}, lambda: set("abc"), lambda: frozenset("ab"),
        lambda: {"a": 1}.keys(), lambda: {"a": 1}.items(), lambda: {"a": 1}.values(), lambda: range(1, 9, 2),
        lambda: slice(1, None, 2), lambda: iter([1, 2]), lambda: iter("ab"), lambda: iter({"a": 1}), lambda: iter({1}),
        lambda: reversed([1, 2]), lambda: reversed({"a": 1}), lambda: enumerate("ab"), lambda: zip("ab", "cd"),
        lambda: map(str, [1]), lambda: filter(None, [1]), lambda: generator(), lambda: coroutine(),
        lambda: Plain(), lambda: Slots(), lambda: Full(a=1), lambda: Plain, lambda: type("T", (Plain,), {"x": 1}), lambda: type,
        lambda: Plain().method, lambda: Plain.method, lambda: cell, lambda: cell.__closure__[0], lambda: cell.__code__,
        lambda: len, lambda: "".join, lambda: str.join, lambda: dict.__dict__["fromkeys"], lambda: int.__add__,
        lambda: (1).__add__, lambda: types.FunctionType.__code__, lambda: Slots.a, lambda: Plain.__dict__,
        lambda: staticmethod(len), lambda: classmethod(len), lambda: property(len, len, len, "doc"),
        lambda: super(Plain, Plain()), lambda: types.ModuleType("m", "doc"), lambda: sys._getframe(),
        lambda: types.SimpleNamespace(a=1), lambda: types.MappingProxyType({"a": 1}), lambda: types.MethodType(len, [1]),
        lambda: list[int], lambda: dict[str, T], lambda: int | None, lambda: int | list[T], lambda: typing.Optional[T],
        lambda: typing.Union[int, str, T], lambda: typing.Callable[[T], int], lambda: typing.Literal["a", 1],
        lambda: typing.Annotated[T, "x"], lambda: T, lambda: Generic[int], lambda: typing.ForwardRef("int"),
        lambda: typing.ParamSpec("P"), lambda: typing.TypeVarTuple("Ts"), lambda: typing.ClassVar[int],
        lambda: typing.NamedTuple("N", [("a", int)])(1), lambda: typing.TypedDict("D", {"a": int}),
        lambda: Color.RED, lambda: Color, lambda: collections.OrderedDict(a=1, b=2), lambda: collections.defaultdict(list, a=[1]),
        lambda: collections.Counter("abca"), lambda: collections.deque([1, 2, 3], 5), lambda: collections.ChainMap({"a": 1}, {}),
        lambda: collections.UserDict(a=1), lambda: collections.namedtuple("P", "x y")(1, 2), lambda: functools.partial(int, base=2),
        lambda: functools.lru_cache(len), lambda: functools.cached_property(len), lambda: functools.singledispatch(len),
        lambda: operator.itemgetter(0), lambda: operator.attrgetter("a"), lambda: operator.methodcaller("a"),
        lambda: itertools.chain("a", "b"), lambda: itertools.repeat(1, 2),
        lambda: itertools.islice("abc", 2), lambda: itertools.groupby("aab"), lambda: itertools.tee("ab")[0],
        lambda: itertools.product("ab", "cd"), lambda: itertools.accumulate([1, 2]), lambda: itertools.zip_longest("a", "bc"),
        lambda: re.compile(r"(?P<n>\w)(b)?"), lambda: re.compile(rb"a|b", re.I), lambda: re.match(r"(?P<n>\w)(b)?", "ab"),
        lambda: io.StringIO("a\nb"), lambda: io.BytesIO(b"a\nb"), lambda: io.TextIOWrapper(io.BytesIO(b"a\nb")), lambda: io.BufferedReader(io.BytesIO(b"a\nb")),
        lambda: datetime.datetime(2025, 1, 2, 3, 4, 5, 6, datetime.timezone.utc), lambda: datetime.date(2025, 1, 2), lambda: datetime.time(1, 2),
        lambda: datetime.timedelta(1, 2, 3), lambda: datetime.timezone(datetime.timedelta(hours=1), "x"), lambda: decimal.Decimal("1.25"),
        lambda: struct.Struct("<IH"), lambda: threading.Lock(), lambda: threading.RLock(), lambda: threading.local(),
        lambda: weakref.ref(Plain), lambda: weakref.WeakKeyDictionary({Plain: 1}), lambda: weakref.WeakValueDictionary(), lambda: weakref.WeakSet([Plain]),
        lambda: string.Template("$a"), lambda: string.Formatter(), lambda: pathlib.PurePosixPath("/a/b.c"),
        lambda: pathlib.Path("/python-stdlib"), lambda: contextlib.ExitStack(), lambda: contextlib.nullcontext(1),
        lambda: ValueError("a"), lambda: OSError(2, "a", "b"), lambda: KeyError("a"), lambda: StopIteration(1), lambda: ExceptionGroup("g", [ValueError()]),
        lambda: UnicodeDecodeError("utf-8", b"x", 0, 1, "y"), lambda: SyntaxError("a", ("b", 1, 2, "c")), lambda: ImportError("a", name="b"),
    ]
    arguments = [
        (), ("a",), (b"a",), (1,), (-1,), (2.5,), (None,), ([1, 2],), ({"a": 1},), ({1, 2},), (len,), (str,), ("ab", "c"), (b"a", b"b"), (0, 2), ("a", 1), (1, "a"),
        ("utf-8", "replace"), (["a", "b"], "c"), ((1, 2), {"a": 3}), (Plain(), Plain), (Full(),), (slice(0, 2),), (iter("ab"),), (0, 1, 2), ("a", "b", 1),
    ]
    operators = [getattr(operator, name) for name in dir(operator) if not name.startswith("_")
                 and name not in ("attrgetter", "itemgetter", "methodcaller", "call", "pow", "ipow", "lshift", "ilshift")]
    small = [1, -2, 2.5, True, 10 ** 30, "a", b"a", [1], (1,), {"a": 1}, {1}, frozenset((1,)), None, 1j, Full(a=1), Plain()]
    for make in kinds:
        for name in dir(make()):
            if name in skipped:
                continue
            value = make()
            attribute = attempt(getattr, value, name)
            shared = isinstance(value, (type, types.ModuleType))
            if not shared:
                attempt(setattr, value, name, attribute)
            for given in arguments:
                value = make()
                attempt(attempt(getattr, value, name), value, *given) if isinstance(value, type) else attempt(attempt(getattr, value, name), *given)
            if not shared:
                attempt(delattr, make(), name)
        for other in small:
            for operate in operators:
                attempt(operate, make(), other)
                attempt(operate, other, make())
        for call in (str, repr, hash, len, iter, list, tuple, set, dict, sorted, reversed, sum, min, max, any, all, bool, int, float, complex,
                     bytes, bytearray, memoryview, type, id, dir, vars, callable, abs, round, format, ascii, ord, chr, bin, oct, hex, next,
                     enumerate, frozenset, isinstance, issubclass, divmod, getattr, print, staticmethod, classmethod, property, super):
            for given in ((), (1,), ("a",), (int,), (int, 1)):
                value = make()
                if call is not print:
                    attempt(call, value, *given)
    for module in (bisect, cmath, codecs, heapq, itertools, math, unicodedata):
        for name in dir(module):
            if name not in ("count", "cycle", "register", "register_error", "repeat", "sleep"):
                for given in arguments:
                    attempt(attempt(getattr, module, name), *given)
    # What is asked for often has functions of its own.
    for left, right in ((3, 1.5), (1.5, 3), (3, 4), (1.5, 2.5), ("a", "b"), ([1], [2]), ((1,), (2,))):
        for _ in range(200):
            attempt(lambda: left / right), attempt(lambda: left * right), attempt(lambda: left - right)
            attempt(lambda: left + right), attempt(lambda: left // right), attempt(lambda: left % right)
            attempt(lambda: left < right), attempt(lambda: left == right), attempt(lambda: left & right)
            attempt(lambda: left[0]), attempt(lambda: left[0:1]), attempt(lambda: left in right)
    class Renamed(Plain): pass
    Renamed.__name__, Renamed.__qualname__, Renamed.__module__, Renamed.__doc__ = "a", "b", "c", "d"
    attempt(lambda: setattr(Renamed, "__bases__", (Slots,)))
    attempt(time.strftime, "%Y %z é", time.localtime())


methods()
