# In front of scripts that print what calls return, or raise.
def show(what, call):
    try:
        result = call()
    except BaseException as error:
        result = f"{type(error).__name__}: {error}"
    print(what, "=", result)
