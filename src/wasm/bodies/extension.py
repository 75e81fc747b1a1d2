# What importing an extension module runs, and calling it: the library is opened, and what
# it raises is Python's.
import cfast

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
