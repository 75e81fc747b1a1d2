# Each execute of this one adds to what the last one left.
import builtins, collections, sys, gc
store = builtins.__dict__.setdefault("_conformance", collections.defaultdict(list))
store["rounds"].append(len(store["rounds"]))
store["big"] = {str(i): list(range(i % 7)) for i in range(20000)}
print(store["rounds"], sum(map(len, store["big"].values())), sorted(store["big"])[:3])
class Plugin:
    registry = store["classes"]
    def __init_subclass__(cls): Plugin.registry.append(cls.__name__)
type(f"Plugin{len(store['rounds'])}", (Plugin,), {})
print(store["classes"], sys.intern("abc") is sys.intern("a" + "bc"))
def make(n):
    def closure():
        nonlocal n
        n += 1
        return n
    return closure
store["closures"].append(make(len(store["rounds"])))
print([closure() for closure in store["closures"]], sys.getrefcount(store) > 1)
x = bytearray(3 << 20); x[-1] = 1; print(len(x), x[-1]); del x
print([i for i in range(10**5) if i % 9973 == 0], sum(range(10**5)), 2**521 - 1 == (1 << 521) - 1, hash(2**61 - 1), hash(1.5), hash((1, 2)))
