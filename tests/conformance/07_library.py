import collections, dataclasses, datetime, enum, fractions, functools, heapq, bisect, itertools, operator, statistics, copy, pickle, hashlib, hmac, csv, io, math, cmath, zlib, array, types, typing, abc, inspect, ast, dis, tokenize, calendar, uuid, ipaddress, urllib.parse, pathlib, configparser, argparse, shlex, fnmatch, string, prepared
print(collections.Counter("mississippi").most_common(2), collections.OrderedDict(a=1) | {"b": 2}, collections.ChainMap({"a": 1}, {"a": 2, "b": 3})["b"])
print(datetime.date(2024, 2, 29) + datetime.timedelta(days=366), datetime.datetime.fromisoformat("2024-05-01T10:00:00+02:00").astimezone(datetime.timezone.utc), calendar.monthrange(2023, 2))
print(fractions.Fraction("0.125") + 1, statistics.stdev([1, 2, 4]), math.isqrt(10**20), cmath.sqrt(-1), math.fsum([0.1] * 10), functools.reduce(operator.mul, range(1, 20)))
print(heapq.nsmallest(2, [5, 1, 4]), bisect.bisect([1, 3, 5], 3), list(itertools.batched("abcdefg", 3)), list(itertools.accumulate([1, 2, 3])))
print(pickle.loads(pickle.dumps(prepared.POINTS)) == prepared.POINTS, copy.deepcopy(prepared.POINTS)[1].tags is prepared.POINTS[1].tags, dataclasses.asdict(prepared.POINTS[0]), dataclasses.replace(prepared.POINTS[0], y=9))
print(hashlib.sha256(b"x").hexdigest()[:16], hashlib.blake2b(b"x", digest_size=4).hexdigest(), hmac.new(b"k", b"m", "sha1").hexdigest()[:8], zlib.crc32(zlib.decompress(zlib.compress(b"y" * 99))))
rows = io.StringIO()
csv.writer(rows, quoting=csv.QUOTE_MINIMAL).writerows([["a,b", 'q"'], [1, None]])
print(rows.getvalue(), list(csv.DictReader(io.StringIO("h,i\n1,2\n"))), array.array("i", [1, 2]).tobytes())
class Base(abc.ABC):
    @abc.abstractmethod
    def f(self): ...
try:
    Base()
except TypeError as error:
    print(error)
class Shape(enum.IntEnum):
    A = 1
    B = 2
@functools.singledispatch
def kind(x): return "object"
@kind.register
def _(x: int): return "int"
print(Shape(2), list(Shape), kind(1), kind(""), inspect.signature(lambda a, *, b=1: 0), typing.get_type_hints(prepared.Point))
print(ast.unparse(ast.parse("x = [i for i in range(3) if i]")), len(list(dis.get_instructions("a + b"))), [t.string for t in tokenize.generate_tokens(io.StringIO("a+1").readline)][:3])
print(uuid.uuid5(uuid.NAMESPACE_DNS, "x"), ipaddress.ip_network("10.0.0.0/30").num_addresses, urllib.parse.urlencode({"a": "ä b"}), pathlib.PurePosixPath("/a/../b").parts, shlex.split("a 'b c'"), fnmatch.filter(["a.py", "b.c"], "*.py"))
parser = argparse.ArgumentParser(prog="p"); parser.add_argument("-n", type=int, default=1)
print(parser.parse_args(["-n", "3"]), parser.format_usage())
config = configparser.ConfigParser(); config.read_string("[s]\na = 1\nb = %(a)s2\n")
print(config["s"]["b"])
match {"kind": "point", "at": [1, 2]}:
    case {"kind": "point", "at": [x, y]}: print(x, y)
def generator():
    try:
        yield 1
        yield from (2, 3)
    finally:
        print("closed")
g = generator(); print(next(g), next(g)); g.close()
print(list(map(lambda x, y: x * y, [1, 2], [3, 4])), (lambda *a, **k: (a, k))(1, b=2), [*range(3), *"ab"], {**{"a": 1}, "b": 2}, (n := 5) + n)
class Descriptor:
    def __set_name__(self, owner, name): self.name = name
    def __get__(self, obj, owner=None): return f"{owner.__name__}.{self.name}"
class Meta(type):
    def __new__(cls, name, bases, namespace, **kw): return super().__new__(cls, name, bases, namespace | kw)
class Uses(metaclass=Meta, extra=3): attribute = Descriptor()
print(Uses.attribute, Uses.extra, Uses.__mro__, types.SimpleNamespace(a=1), vars(types.SimpleNamespace(b=2)))
