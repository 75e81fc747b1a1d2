# Objects of every kind, alive while garbage is collected, and freed: a collection comes
# whenever enough was made, and shall find no function missing.
def objects():
    import array, bisect, collections, contextvars, csv, decimal, functools, gc, io, itertools
    import json, operator, pickle, queue, re, struct, sys, types, typing, weakref, zlib

    def kinds(base):
        found = [base]
        for kind in type.__subclasses__(base):
            found += kinds(kind)
        return found

    def attempt(call):
        try:
            return call()
        except BaseException as error:
            return error

    def generator():
        yield attempt

    async def coroutine():
        pass

    async def asynchronous():
        yield attempt

    class Kept:
        __slots__ = "value", "__weakref__", "__dict__"

    ordered, items = collections.OrderedDict(a=[1]), [[1], (2, [3])]
    text = "0b1"
    made = []
    for kind in dict.fromkeys(kinds(BaseException)):
        for arguments in ((), ("a",), ("a", "b"), ("a", [ValueError()]), ("utf-8", b"x", 0, 1, "z"),
                          ("x", 0, 1, "z")):
            error = attempt(lambda: kind(*arguments))
            made.append(error)
            attempt(lambda: (repr(error), str(error)))
    for kind in dict.fromkeys(kinds(object)):
        if kind.__module__ in ("builtins", "itertools", "_io", "collections", "_functools",
                               "functools", "operator", "types", "typing", "_contextvars"):
            for arguments in ((), (items,), (len, items), (items, 2), (text,)):
                made.append(attempt(lambda: kind(*arguments)))
    variable = contextvars.ContextVar("variable", default=items)
    made += [
        generator(), coroutine(), asynchronous(), asynchronous().asend(None),
        asynchronous().athrow(ValueError), coroutine().__await__(), iter({}), iter({}.items()),
        iter(ordered), iter(ordered.items()), reversed(ordered), iter(set()), iter([]), iter(()),
        reversed([]), enumerate(items), filter(len, items), map(len, items), zip(items, items),
        super(Kept, Kept()), memoryview(b"x"), slice(items), range(2), property(len),
        staticmethod(len), classmethod(len), Kept.value, weakref.ref(Kept), weakref.proxy(Kept()),
        types.MappingProxyType({}), types.SimpleNamespace(a=items), types.CellType(items),
        types.MethodType(len, items), types.GenericAlias(list, int), int | str,
        typing.TypeVar("T", bound=Kept), typing.ParamSpec("P"), typing.TypeVarTuple("Ts"),
        typing.NamedTuple("N", [("a", int)])(1), sys.float_info, sys.flags, sys._getframe(),
        itertools.accumulate(items), itertools.combinations(items, 2), itertools.permutations(items),
        itertools.combinations_with_replacement(items, 2), itertools.dropwhile(len, items),
        itertools.takewhile(len, items), itertools.filterfalse(len, items), itertools.groupby(items),
        itertools.product(items, items), itertools.starmap(len, items), itertools.tee(items),
        itertools.chain(items), itertools.compress(items, items), itertools.count(items and 1.5),
        itertools.cycle(items), itertools.repeat(items), itertools.islice(items, 2),
        itertools.pairwise(items), itertools.zip_longest(items), itertools.batched(items, 1),
        functools.partial(len, items), functools.cmp_to_key(len), functools.cmp_to_key(len)(items),
        functools.lru_cache(len), operator.attrgetter("a.b"), operator.itemgetter(1, "a"),
        operator.methodcaller("a", items, b=1), collections.deque(items), iter(collections.deque()),
        reversed(collections.deque()), collections.defaultdict(list), collections.Counter("a"),
        contextvars.copy_context(), variable, variable.set(items), variable.get(), re.match("a", "a"),
        re.compile("a").scanner("a"), re.finditer("a", "a"), re.compile(b"a"), io.BytesIO(b"x"),
        io.BytesIO().getbuffer(), io.StringIO("x"), io.TextIOWrapper(io.BytesIO()),
        io.BufferedReader(io.BytesIO()), io.BufferedWriter(io.BytesIO()), io.BufferedRandom(io.BytesIO()),
        io.BufferedRWPair(io.BytesIO(), io.BytesIO()), io.FileIO("/python-stdlib/os.py"),
        io.IncrementalNewlineDecoder(None, True), csv.reader(["a"]), csv.writer(io.StringIO()),
        csv.get_dialect("excel"), json.JSONEncoder(), json.JSONDecoder(), pickle.Pickler(io.BytesIO()),
        pickle.Unpickler(io.BytesIO()), pickle.PickleBuffer(b"x"), queue.SimpleQueue(),
        struct.Struct("I"), struct.iter_unpack("B", b"x"), zlib.compressobj(), zlib.decompressobj(),
        array.array("i", [1]), iter(array.array("i")), decimal.getcontext(), decimal.Decimal(1),
        bisect.bisect, ExceptionGroup("g", [ValueError()]), dict.fromkeys("a").keys() & {"a"},
        {}.values(), frozenset((1,)), bytearray(b"x"), iter(b"x"), iter("x"), iter("é"), complex(1),
        iter(len, 1), NotImplemented, ..., type("T", (Kept,), {"x": property()}), type(sys)("m"),
    ]
    gc.collect(0), gc.collect(1), gc.collect()
    # One in a circle, so that only a collection frees it.
    circle = [Kept()]
    circle[0].value = circle
    del made, circle, error
    gc.collect()


objects()
