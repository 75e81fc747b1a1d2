# What importing an extension module runs, and calling it: the library is opened, and what
# it raises is Python's.
import cfast
import cmany
import few

print(cfast, cfast.LIMIT, cfast.square(4), cfast.letters(), dir(cfast))
for wrong in (-1, "x", 10**30):
    try:
        cfast.square(wrong)
    except (ValueError, TypeError, OverflowError) as error:
        print(error)
try:
    import cfast.part
except ImportError as error:
    print(error)

print(few, few.answer())
print(cmany, dir(cmany), cmany.pair("a", 1), cmany.keywords(cmany, flag=True), cmany.fast(1))
for wrong in ((), (1,), ("a", "b")):
    for function in (cmany.pair, cmany.keywords, cmany.fast):
        try:
            print(function(*wrong))
        except TypeError as error:
            print(error)


class Derived(cmany.Heap):
    pass


print(cmany.Fixed, repr(Derived()), Derived().property, Derived().text(), cmany.Pair(1, 2))
