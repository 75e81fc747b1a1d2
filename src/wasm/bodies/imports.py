# Every module of the standard library that imports here, one by one.
import sys
for _name in sorted(sys.stdlib_module_names):
    if _name in ("antigravity", "this", "idlelib", "turtledemo"):
        continue
    try:
        __import__(_name)
    except BaseException:
        pass
for _name in ("os.path", "importlib.metadata", "importlib.resources", "json.tool",
              "email.message", "email.mime.text", "urllib.parse", "urllib.request",
              "http.client", "http.server", "xml.etree.ElementTree", "xml.dom.minidom",
              "concurrent.futures", "collections.abc", "logging.config", "logging.handlers",
              "unittest.mock", "html.parser", "encodings.idna", "encodings.utf_16"):
    try:
        __import__(_name)
    except BaseException:
        pass
