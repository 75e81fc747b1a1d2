import traceback, sys, contextlib, io
def inner(x):
    return [1][x]
def outer():
    try:
        inner(3)
    except IndexError as error:
        raise ValueError("outer") from error
try:
    outer()
except ValueError:
    print(traceback.format_exc())
try:
    import json
    json.loads("{'a'}")
except json.JSONDecodeError as error:
    print(error, error.pos, [frame.name for frame in traceback.extract_tb(error.__traceback__)][1:])
try:
    raise ExceptionGroup("group", [TypeError("one"), ExceptionGroup("nested", [OSError(2, "two")])])
except* OSError as group:
    print("os", group.exceptions)
except* TypeError as group:
    print("type", group.exceptions)
error = KeyError("noted")
error.add_note("a note")
print("".join(traceback.format_exception(error)))
def recurse(n):
    return recurse(n + 1)
try:
    recurse(0)
except RecursionError as error:
    print(error, len(traceback.extract_tb(error.__traceback__)) > 500, sys.getrecursionlimit())
try:
    eval("1 +")
except SyntaxError as error:
    print(error.msg, error.lineno, error.offset)
try:
    None.attribute
except AttributeError as error:
    print(error, error.name, error.obj)
try:
    exit_ = sys.exit("bye")
except SystemExit as error:
    print("exit", error.code)
with contextlib.suppress(ZeroDivisionError), contextlib.redirect_stdout(io.StringIO()) as out:
    print("captured")
    1 / 0
print(out.getvalue(), sys.exc_info())
class Manager:
    def __enter__(self): print("enter"); return self
    def __exit__(self, *what): print("exit", what[0]); return True
with Manager(), contextlib.ExitStack() as stack:
    stack.callback(print, "callback")
    raise RuntimeError
try:
    open("/nowhere/at/all")
except OSError as error:
    print(type(error), error.errno, error.filename)
