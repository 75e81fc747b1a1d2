# Syntax that the standard library has little of. It is compiled, not run.
from __future__ import annotations
import a.b as c, d
from . import (e, f as g,)
from ..h import *

type Alias[T: int = str, *Ts = *tuple[int], **P = [int]] = dict[T, P]
async def agen():
    async for x in y:
        yield {k async for k in x if k if await k}, {k: v async for k, v in x}, (k async for k in x)
async def coroutine():
    async with a as b, c as (d, e):
        return await b
    return [await z for z in [k async for k in x]]
class Generic[T: (int, str) = int, *Ts = *tuple[int], **P = [int]](Base, metaclass=M, **kw):
    x: int = 1
    (y): str
    z.w: list[int]
    v[0]: "text"
    def method[U: Sequence[T] = list](self, a: T, /, b=1, *args: *Ts, c: U = 2, **kwargs: P.kwargs) -> U:
        nonlocal_ = lambda a, /, b=1, *c, d=2, **e: (yield)
        def inner():
            nonlocal a, b
            global G
            a = b = G = 1
            del a, (b), [G]
        return super().method(*args, **kwargs)
try:
    raise ExceptionGroup("", []) from None
except* (ValueError, TypeError) as error:
    pass
except* OSError:
    raise
else:
    pass
finally:
    pass
try:
    pass
except ValueError, TypeError:
    pass
text = f"{x!r:>{width}} {y=} {z:%Y-%m-%d} {{}} {f'{"nested"}'}" rf"\d{x}" "plain"
template = t"{x!s:>{width}} {y=} {z} {t'{a}'}" rt"\d{x}"
match command.split(), {"k": 1}:
    case [1 | -2.5 | 3 + 4j | -1 - 2j, "a" "b", None, True, *_] if x:
        pass
    case {"x": 1, -1: y, a.b: z, **rest}:
        pass
    case Point(x=0, y=Point(1, z)) | Point(z) | a.b.Point(z, 2,) as point:
        pass
    case (a, b), [*c, d] | [d, *c]:
        pass
    case (1) | str() | b"x" | f.g:
        pass
    case _:
        pass
if (n := 10) > 5 and not (m := n) or ~n @ m ** -n // 3 % 2 << 1 >> 1 & 7 ^ 1 | 2:
    n @= m; n **= 2; n //= 3; n <<= 1; n >>= 1; n &= 1; n ^= 1; n |= 1; n %= 2; n -= 1; n *= 1; n /= 1
elif a < b <= c != d is not e not in f is g in h == i >= j > k:
    pass
for i, (j, *k) in (*a, *b), *c:
    continue
else:
    while x: break
    else: pass
with (open(a) as b, open(c),): pass
x = *a, *b, *(c if d else e), [*f, *g], {*h, *i}, {**j, "k": 1, **l}
a[1:2, ::3, ..., *b], a[b:=1], a[:], a[x:y:z], a[-1][()]
print(*a, b, *c, d=1, **e, f=(g for g in h), **i)
f(x for x in y), f(a := 1), f(**{"a": 1}), f(*[1]), f(lambda: 0)
@decorator(a)[0].b
@lambda f: f
async def decorated(*, a): return
assert x, "message"; del a[0], b.c; pass; global_ = 0x_1f, 0o17, 0b11, 1_000, 1e-5, 1j, .5, 5., 10 ** 400
lambda *, a, **k: a; lambda *a: a; lambda a=1, /: a; lambda: (yield from x)
def outer():
    def generator():
        x = yield from y
        yield
        return [z for z in x for w in z if w if not z], {z for z in x}, {z: w for z, w in x}, [[w for w in z] for z in x]
    class Local:
        __slots__ = "a",
        class __Inner: __private = 1
        print(__class__, x)
        def f(self): return __class__, super().f, self.__x
        items = [x for x in y if x]
    while 1:
        try: break
        except: continue
        finally: cleanup()
    with a:
        with b:
            return x if y else z if w else v
def constants():
    return ((1, 2, (3, None)), frozenset({1, 2}), -1, +1, ~1, not 1, "a" * 3, (1,) * 2, 1 if 0 else 2, "%s %r %a" % (x, y, z),
            x in [1, 2], x in {1, 2}, [1, 2, 3], {1, 2, 3}, {"a": 1, "b": 2}, b"a" b"b", 1 + 2j, "é" "\N{BULLET}" "\u1234\x41\101\
")
