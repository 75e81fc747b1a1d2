import logging, warnings, prepared, sys, io
prepared.LOGGER.debug("dropped"); prepared.LOGGER.info("kept %d", 1); prepared.LOGGER.warning("kept too")
print(prepared.LOGGED, logging.getLogger("prepared.child") is prepared.LOGGER, prepared.LOGGER.isEnabledFor(logging.DEBUG))
prepared.LOGGED.clear()
logging.captureWarnings(True)
stream = io.StringIO()
logging.getLogger("py.warnings").addHandler(logging.StreamHandler(stream))
warnings.warn("through logging")
logging.captureWarnings(False)
logging.getLogger("py.warnings").handlers.clear()
print("through logging" in stream.getvalue(), len(warnings.filters), warnings.filters[0][0], warnings.filters[1][0])
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    warnings.warn("one", UserWarning)
    exec(compile("import warnings; warnings.warn('two', DeprecationWarning)", "x", "exec"), {"__name__": "other"})
    print([(str(w.message), w.category.__name__) for w in seen])
warnings.warn("never mind")
try:
    exec("import warnings; warnings.warn('old', DeprecationWarning)", {"__name__": "prepared_module"})
except DeprecationWarning as error:
    print("raised", error)
root = logging.getLogger()
print(root.level, root.handlers, logging.getLevelName(30))
