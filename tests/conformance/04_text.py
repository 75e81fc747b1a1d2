import codecs, locale, unicodedata, re, string, textwrap, difflib, html, json, base64, binascii, struct, prepared, sys
for name in ("utf-8", "utf-16", "utf-32-be", "latin-1", "cp1252", "koi8-r", "idna", "punycode", "unicode_escape", "rot13", "shift_jis", "utf-7"):
    try:
        text = "straße" if name in ("idna", "latin-1", "cp1252") else "abc"
        data = codecs.encode(text, name)
        print(name, data, codecs.decode(data, name))
    except Exception as error:
        print(name, type(error).__name__, error)
print("ä€😀".encode("ascii", "xmlcharrefreplace"), "ä".encode("ascii", "backslashreplace"), b"\xff".decode("utf-8", "surrogateescape").encode("utf-8", "surrogateescape"))
codecs.register_error("mine", lambda error: ("?!", error.end))
print("aäb".encode("ascii", "mine"), sys.getdefaultencoding(), sys.getfilesystemencoding(), sys.stdout.encoding)
print(locale.getlocale(), locale.setlocale(locale.LC_ALL), locale.localeconv()["decimal_point"], f"{1234567.891:n}", f"{1234567.891:,.2f}")
print(unicodedata.normalize("NFD", "é").encode(), unicodedata.name("😀"), "ǅ".title(), "ß".upper(), "İ".lower().encode(), "ﬁ".casefold())
print(prepared.PATTERN.search("the The end")["word"], re.compile("x3+").search("axxx333").span(), re.sub(r"(\d+)", lambda m: str(int(m[1]) * 2), "a1b22"))
print(re.split(r"[,;]\s*", "a, b;c"), re.findall(r"(?i)\bA\w*", "an Apple a"), re.fullmatch(r"(?:a|b)*c", "ababc"), re.compile("é").flags)
print(re.purge(), prepared.PATTERN.search("a A") is not None)
print(string.Template("$who is ${what}").substitute(who="he", what="it"), textwrap.fill("word " * 12, 20), html.escape("<&>"))
print(*difflib.unified_diff(["a", "b"], ["a", "c"], lineterm=""), sep="\n")
print(json.dumps({"k": [1.5, None, True, "é"], "a": {"n": float("inf")}}, sort_keys=True, indent=1), json.loads('"\\ud83d\\ude00"'))
print(base64.b85encode(b"hello"), binascii.crc32(b"x"), struct.pack("<hIq?d", -1, 2, 3, True, 1.5), struct.unpack(">2H", b"\0\1\0\2"))
print("{0!r:>8} {x:^+9.2e} {y:#x}".format("a", x=3.14159, y=255), f"{'nested':{'>'}{10}}", "%05.1f|%-4s|%o" % (2.25, "b", 8), float("1e-7"), repr(0.1 + 0.2), 10 ** 30)
