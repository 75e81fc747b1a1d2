"""Functions to run around the snapshot, by the convention of `snapshot_restore_py`."""

_before = []
_after = []


def register_before_snapshot(func, /, *args, **kwargs):
    """Has `func` run before the snapshot is taken: what is registered last runs first."""
    _before.append((func, args, kwargs))
    return func


def register_after_restore(func, /, *args, **kwargs):
    """Has `func` run in every restored instance: what is registered first runs first."""
    _after.append((func, args, kwargs))
    return func


def get_before_snapshot():
    """What is registered, as (function, arguments, keyword arguments)."""
    return _before


def get_after_restore():
    """What is registered, as (function, arguments, keyword arguments)."""
    return _after
