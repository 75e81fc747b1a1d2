"""What an import can leave behind: every kind of state the programs then use."""
import asyncio, collections, contextvars, dataclasses, decimal, enum, functools, gc, itertools
import json, locale, logging, random, re, threading, types, warnings, weakref, zoneinfo
try:
    import sqlite3
except ImportError:
    sqlite3 = None

decimal.getcontext().prec = 11
decimal.getcontext().rounding = decimal.ROUND_DOWN
warnings.filterwarnings("error", category=DeprecationWarning, module="prepared_.*")
warnings.filterwarnings("ignore", message="never mind")
LOGGED = []

class Kept(logging.Handler):
    def emit(self, record):
        LOGGED.append(self.format(record))

LOGGER = logging.getLogger("prepared.child")
handler = Kept()
handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
logging.getLogger("prepared").addHandler(handler)
logging.getLogger("prepared").setLevel(logging.INFO)
logging.getLogger("prepared").propagate = False
PATTERN = re.compile(r"(?P<word>\w+)\s+(?P=word)", re.I)
for i in range(40):
    re.compile(f"x{i}+")

def counter():
    total = 0
    try:
        while True:
            got = yield total
            total += got or 1
    finally:
        total = -1

COUNTER = counter()
next(COUNTER), COUNTER.send(4)

async def later(n):
    await asyncio.sleep(0)
    return n

COROUTINE = later(3)
COROUTINE.send(None)

class Node:
    def __init__(self, name):
        self.name, self.next = name, None

RING = Node("a")
RING.next = Node("b")
RING.next.next = RING
DEAD = []
WEAK = weakref.ref(RING.next, lambda ref: DEAD.append("callback"))
VALUES = weakref.WeakValueDictionary(a=RING)
FINAL = weakref.finalize(RING, DEAD.append, "finalized")
VARIABLE = contextvars.ContextVar("variable", default="default")
TOKEN = VARIABLE.set("set while importing")
CONTEXT = contextvars.copy_context()
LOCAL = threading.local()
LOCAL.value = [1]
LOCK = threading.Lock()
LOCK.acquire()

@functools.lru_cache(maxsize=8)
def squared(n):
    return n * n

[squared(n) for n in range(12)]

@dataclasses.dataclass(order=True, slots=True)
class Point:
    x: int
    y: int = 2
    tags: list = dataclasses.field(default_factory=list, compare=False)

class Colour(enum.Flag):
    RED = enum.auto()
    BLUE = enum.auto()

POINTS = [Point(3), Point(1, 5, ["t"])]
SHARED = itertools.chain([1], range(5))
next(SHARED)
DEQUE = collections.deque(range(8), maxlen=5)
ITERATOR = iter(DEQUE)
next(ITERATOR)
SEEDED = random.Random(42)
SEEDED.random()
DATABASE = sqlite3.connect(":memory:") if sqlite3 else None
if DATABASE:
    DATABASE.execute("create table t (a integer, b text)")
    DATABASE.executemany("insert into t values (?, ?)", [(i, chr(97 + i)) for i in range(5)])
    CURSOR = DATABASE.execute("select * from t order by a")
    CURSOR.fetchone()
try:
    {}["missing"]
except KeyError as error:
    ERROR = error
MODULE = types.ModuleType("made_up")
MODULE.VALUE = 7
import sys
sys.modules["made_up"] = MODULE
gc.disable()
gc.set_threshold(500, 7, 7)
