import prepared, decimal, gc, threading, asyncio, contextvars
print(decimal.getcontext(), decimal.Decimal(2) / 3, decimal.Decimal(2).sqrt())
with decimal.localcontext() as context:
    context.prec = 4
    print(decimal.Decimal(1) / 7)
print(decimal.Decimal(1) / 7, gc.isenabled(), gc.get_threshold(), gc.get_count()[1:] >= (0, 0))
print(prepared.COUNTER.send(10), next(prepared.COUNTER))
print(next(prepared.SHARED), list(prepared.DEQUE), next(prepared.ITERATOR))
print(prepared.squared.cache_info(), prepared.squared(11), prepared.squared.cache_info())
print(sorted(prepared.POINTS), prepared.Colour.RED | prepared.Colour.BLUE, prepared.Point(1) < prepared.Point(1, 3))
print(prepared.VARIABLE.get(), prepared.CONTEXT[prepared.VARIABLE], len(prepared.CONTEXT))
print(prepared.LOCAL.value, prepared.LOCK.locked(), prepared.LOCK.acquire(timeout=0), threading.current_thread().name)
print(threading.active_count(), threading.main_thread() is threading.current_thread())
try:
    prepared.COROUTINE.send(None)
    print("still running")
except StopIteration as stop:
    print("returned", stop.value)
except RuntimeError as error:
    print(error)
print(prepared.SEEDED.random(), prepared.SEEDED.getrandbits(64), prepared.SEEDED.sample(range(100), 5))
print(repr(prepared.ERROR), prepared.ERROR.__traceback__.tb_lineno, prepared.ERROR.__traceback__.tb_frame.f_code.co_filename)
import made_up
print(made_up.VALUE)
if prepared.DATABASE:
    print(prepared.DATABASE.execute("select sum(a), group_concat(b) from t").fetchall())
