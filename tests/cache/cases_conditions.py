"""Preconditions (RFC 9110, 13)."""

from tests.cache.case import Answer, Case, OneOf, get, head_of, ok, part, refused, unsatisfied

_NAME = "alphabet.txt"
_SAME = "Tue, 14 Nov 2023 22:13:20 GMT"
_BEFORE = "Tue, 14 Nov 2023 22:13:19 GMT"
_AFTER = "Wed, 15 Nov 2023 22:13:20 GMT"
_OTHERS = ", ".join(f'"{number:04}"' for number in range(40))

_UNCHANGED = Answer((304,), b"", fields={"content-range": None, "transfer-encoding": None})
_FAILED = refused(412)


def _case(name: str, section: str, answer: Answer | OneOf, *lines: str) -> Case:
    return Case(name, f"RFC 9110, {section}", get(f"/{_NAME}", *lines), (answer,))


def _since(text: str, answer: Answer | OneOf) -> Case:
    return _case(f"If-Modified-Since: {text}", "13.1.3", answer, f"If-Modified-Since: {text}")


CASES = (
    # If-None-Match.
    _case("If-None-Match with the tag", "13.1.2", _UNCHANGED, "If-None-Match: @ETAG@"),
    _case("If-None-Match with the tag made weak", "13.1.2", _UNCHANGED, "If-None-Match: W/@ETAG@"),
    _case("If-None-Match with any", "13.1.2", _UNCHANGED, "If-None-Match: *"),
    _case("If-None-Match with another", "13.1.2", ok(_NAME), 'If-None-Match: "other"'),
    _case("If-None-Match with a list", "13.1.2", _UNCHANGED, 'If-None-Match: "a", @ETAG@, "b"'),
    _case("If-None-Match with a list without blanks", "13.1.2", _UNCHANGED, 'If-None-Match: "a",@ETAG@'),
    _case("If-None-Match with a comma in a tag", "13.1.2", _UNCHANGED, 'If-None-Match: "a,b", @ETAG@'),
    _case("If-None-Match with a list of others", "13.1.2", ok(_NAME), 'If-None-Match: "a", "b"'),
    _case(
        "If-None-Match behind three hundred bytes of others", "13.1.2", _UNCHANGED, f"If-None-Match: {_OTHERS}, @ETAG@"
    ),
    _case("If-None-Match with three hundred bytes of others", "13.1.2", ok(_NAME), f"If-None-Match: {_OTHERS}"),
    _case("If-None-Match with nothing", "13.1.2", OneOf((ok(_NAME), refused(400))), "If-None-Match:"),
    _case("If-None-Match in two lines", "13.1.2", _UNCHANGED, 'If-None-Match: "a"', "If-None-Match: @ETAG@"),
    Case(
        "HEAD with If-None-Match",
        "RFC 9110, 13.1.2",
        get(f"/{_NAME}", "If-None-Match: @ETAG@", method="HEAD"),
        (Answer((304,), b"", method="HEAD"),),
    ),
    Case(
        "HEAD with If-None-Match of another",
        "RFC 9110, 13.1.2",
        get(f"/{_NAME}", 'If-None-Match: "x"', method="HEAD"),
        (head_of(_NAME),),
    ),
    Case(
        "304 and 200 on one connection",
        "RFC 9112, 6.3",
        get(f"/{_NAME}", "If-None-Match: @ETAG@") + get("/hello.txt"),
        (_UNCHANGED, ok("hello.txt")),
    ),
    # If-Modified-Since.
    _since(_SAME, _UNCHANGED),
    _since(_AFTER, _UNCHANGED),
    _since(_BEFORE, ok(_NAME)),
    _since("Tuesday, 14-Nov-23 22:13:20 GMT", _UNCHANGED),
    _since("Tue Nov 14 22:13:20 2023", _UNCHANGED),
    _since("Monday, 14-Nov-22 22:13:20 GMT", ok(_NAME)),
    _since("Mon Nov  7 22:13:20 2022", ok(_NAME)),
    _since("yesterday", ok(_NAME)),
    _since("1700000000", ok(_NAME)),
    _since("", ok(_NAME)),
    # If-Match.
    _case("If-Match with the tag", "13.1.1", ok(_NAME), "If-Match: @ETAG@"),
    _case("If-Match with another", "13.1.1", _FAILED, 'If-Match: "other"'),
    _case("If-Match with any", "13.1.1", ok(_NAME), "If-Match: *"),
    _case("If-Match with the tag made weak", "13.1.1", _FAILED, "If-Match: W/@ETAG@"),
    _case("If-Match with a list", "13.1.1", ok(_NAME), 'If-Match: "a", @ETAG@'),
    _case("If-Match with a list of others", "13.1.1", _FAILED, 'If-Match: "a", "b"'),
    # If-Unmodified-Since.
    _case("If-Unmodified-Since, the same", "13.1.4", ok(_NAME), f"If-Unmodified-Since: {_SAME}"),
    _case("If-Unmodified-Since, later", "13.1.4", ok(_NAME), f"If-Unmodified-Since: {_AFTER}"),
    _case("If-Unmodified-Since, earlier", "13.1.4", _FAILED, f"If-Unmodified-Since: {_BEFORE}"),
    _case("If-Unmodified-Since with nonsense", "13.1.4", ok(_NAME), "If-Unmodified-Since: tomorrow"),
    # Several, in their order.
    _case(
        "tag goes before date: other tag, later date",
        "13.2.2",
        ok(_NAME),
        'If-None-Match: "x"',
        f"If-Modified-Since: {_AFTER}",
    ),
    _case(
        "tag goes before date: same tag, earlier date",
        "13.2.2",
        _UNCHANGED,
        "If-None-Match: @ETAG@",
        f"If-Modified-Since: {_BEFORE}",
    ),
    _case(
        "If-Match goes before If-Unmodified-Since",
        "13.2.2",
        ok(_NAME),
        "If-Match: @ETAG@",
        f"If-Unmodified-Since: {_BEFORE}",
    ),
    _case("If-Match goes before If-None-Match", "13.2.2", _FAILED, 'If-Match: "x"', "If-None-Match: @ETAG@"),
    _case("both tags hold", "13.2.2", _UNCHANGED, "If-Match: @ETAG@", "If-None-Match: @ETAG@"),
    _case("304 goes before 206", "13.2.2", _UNCHANGED, "If-None-Match: @ETAG@", "Range: bytes=0-4"),
    _case("304 goes before 416", "13.2.2", _UNCHANGED, "If-None-Match: @ETAG@", "Range: bytes=100-"),
    _case("412 goes before 206", "13.2.2", _FAILED, 'If-Match: "x"', "Range: bytes=0-4"),
    _case("206 where the tag holds", "13.2.2", part(_NAME, 0, 4), "If-Match: @ETAG@", "Range: bytes=0-4"),
    _case("206 where another tag is known", "13.2.2", part(_NAME, 0, 4), 'If-None-Match: "x"', "Range: bytes=0-4"),
    _case("416 where another tag is known", "13.2.2", unsatisfied(_NAME), 'If-None-Match: "x"', "Range: bytes=26-"),
    # What is not there has no validators.
    Case("If-None-Match of what is not there", "RFC 9110, 13.2.1", get("/none", "If-None-Match: *"), (refused(404),)),
    Case(
        "If-Modified-Since of what is not there",
        "RFC 9110, 13.2.1",
        get("/none", f"If-Modified-Since: {_SAME}"),
        (refused(404),),
    ),
    Case(
        "the tag of another object", "RFC 9110, 8.8.3", get("/hello.txt", "If-None-Match: @ETAG@"), (ok("hello.txt"),)
    ),
)
