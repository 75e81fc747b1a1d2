import prepared, gc, weakref
print(prepared.WEAK() is prepared.RING.next, list(prepared.VALUES), prepared.FINAL.alive, prepared.DEAD)
prepared.RING.next.extra = object()
kept = prepared.RING
prepared.RING = None
print(gc.collect() >= 0, prepared.WEAK() is not None)
kept.next.next = None
del kept
gc.collect()
print(prepared.WEAK(), list(prepared.VALUES), prepared.FINAL.alive, prepared.DEAD)
prepared.RING = prepared.Node("a")
prepared.RING.next = prepared.Node("b")
prepared.RING.next.next = prepared.RING
prepared.DEAD.clear()
prepared.WEAK = weakref.ref(prepared.RING.next, lambda ref: prepared.DEAD.append("callback"))
prepared.VALUES["a"] = prepared.RING
prepared.FINAL = weakref.finalize(prepared.RING, prepared.DEAD.append, "finalized")

class Cycle:
    def __init__(self): self.me = self
    def __del__(self): prepared.DEAD.append("cycle")
Cycle()
print(prepared.DEAD, gc.collect() > 0, prepared.DEAD)
prepared.DEAD.clear()
refs = weakref.WeakKeyDictionary()
key = Cycle()
refs[key] = 1
print(len(refs), weakref.getweakrefcount(key))
del key
gc.collect()
print(len(refs), gc.garbage)
prepared.DEAD.clear()
