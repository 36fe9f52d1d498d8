"""Single requests of every kind, well and badly formed, to be answered by two daemons alike.

A probe is one request, asked by domain 0 in a store that holds `TREE`, after what `before` asks. The sources of what
they try are docs/misc/xenstore.txt and tools/xenstored of Xen.
"""

from dataclasses import dataclass

from jitsu.xenstore.wire import LONGEST_PAYLOAD, Type, joined

# Each created in this order: path, value, permissions.
TREE = (
    (b"/", b"", b"n0"),
    (b"/p", b"value", b"n0"),
    (b"/p/c", b"", b"n0"),
    (b"/p/b", b"1", b"n0"),
    (b"/p/b/deep", b"2", b"n0"),
    (b"/p/a", b"", b"n7 r5 w6 b8"),
    (b"/p/binary", b"a\0b\xff", b"n0"),
)


@dataclass(frozen=True, slots=True)
class Request:
    """`transaction` is an id as it goes over the wire; `OWN` is put in for the one that the probe has open."""

    type: int
    payload: bytes
    transaction: int = 0


OWN = -1


@dataclass(frozen=True, slots=True)
class Probe:
    """`before` asks first, and its answers do not count."""

    name: str
    request: Request
    before: tuple[Request, ...] = ()


def probe(name: str, kind: int, payload: bytes, transaction: int = 0, before: tuple[Request, ...] = ()) -> Probe:
    return Probe(name, Request(kind, payload, transaction), before)


def _paths() -> tuple[Probe, ...]:
    """What is a path, and what is one string with its NUL."""
    payloads = {
        "a node": b"/p\0",
        "the root": b"/\0",
        "a missing node": b"/p/missing\0",
        "below a missing node": b"/p/missing/below\0",
        "below a missing root": b"/nothing/below\0",
        "without NUL": b"/p",
        "with a second string": b"/p\0/p\0",
        "with a second NUL": b"/p\0\0",
        "an empty path": b"\0",
        "no payload": b"",
        "a trailing slash": b"/p/\0",
        "two slashes": b"/p//b\0",
        "two leading slashes": b"//p\0",
        "a dot": b"/p.b\0",
        "a colon": b"/p:b\0",
        "a plus": b"/p+b\0",
        "a blank": b"/p b\0",
        "a byte above 127": b"/p\xc3\xa9\0",
        "an at sign inside": b"/p/x@y\0",
        "a special path": b"@introduceDomain\0",
        "an unknown special path": b"@other\0",
        "a relative path": b"relative\0",
        "a long path": b"/p/" + b"x" * 1000 + b"\0",
        "a path over the limit": b"/p/" + b"x" * 3100 + b"\0",
    }
    kinds = (Type.READ, Type.DIRECTORY, Type.GET_PERMS, Type.MKDIR, Type.RM)
    return tuple(probe(f"{kind.name} {name}", kind, payload) for kind in kinds for name, payload in payloads.items())


_START = (Request(Type.TRANSACTION_START, b"\0"),)
_RELATIVE = (Request(Type.WRITE, b"/local/domain/0/x\0" + b"of domain 0"),)


def _writes() -> tuple[Probe, ...]:
    return (
        probe("WRITE a new value", Type.WRITE, b"/p/b\0new"),
        probe("WRITE the same value", Type.WRITE, b"/p/b\0" + b"1"),
        probe("WRITE nothing", Type.WRITE, b"/p/b\0"),
        probe("WRITE with NULs", Type.WRITE, b"/p/b\0a\0b\0"),
        probe("WRITE a missing node", Type.WRITE, b"/p/new\0x"),
        probe("WRITE with missing parents", Type.WRITE, b"/p/x/y/z\0x"),
        probe("WRITE below a node with permissions", Type.WRITE, b"/p/a/new\0x"),
        probe("WRITE the root", Type.WRITE, b"/\0x"),
        probe("WRITE without NUL", Type.WRITE, b"/p/b"),
        probe("WRITE no payload", Type.WRITE, b""),
        probe("WRITE an empty path", Type.WRITE, b"\0x"),
        probe("WRITE a bad path", Type.WRITE, b"/p.\0x"),
        probe("WRITE a special path", Type.WRITE, b"@introduceDomain\0x"),
        probe("WRITE a relative path", Type.WRITE, b"x\0y"),
        probe("WRITE the longest value", Type.WRITE, b"/p/b\0" + b"x" * (LONGEST_PAYLOAD - 5)),
        probe("READ a relative path that is", Type.READ, b"x\0", before=_RELATIVE),
        probe("READ a binary value", Type.READ, b"/p/binary\0"),
        probe("READ an empty value", Type.READ, b"/p/c\0"),
        probe("DIRECTORY in the order of creation", Type.DIRECTORY, b"/p\0"),
        probe(
            "DIRECTORY after a child was made anew",
            Type.DIRECTORY,
            b"/p\0",
            before=(Request(Type.RM, b"/p/c\0"), Request(Type.WRITE, b"/p/c\0")),
        ),
        probe("DIRECTORY of a leaf", Type.DIRECTORY, b"/p/c\0"),
        probe("MKDIR a new node", Type.MKDIR, b"/p/new\0"),
        probe("MKDIR with missing parents", Type.MKDIR, b"/p/x/y/z\0"),
        probe("MKDIR below a node with permissions", Type.MKDIR, b"/p/a/new\0"),
        probe("RM a tree", Type.RM, b"/p/b\0"),
        probe("RM twice", Type.RM, b"/p/b\0", before=(Request(Type.RM, b"/p/b\0"),)),
    )


def _permissions() -> tuple[Probe, ...]:
    lists = {
        "an owner": joined(b"/p/b", b"n7"),
        "a list": joined(b"/p/b", b"r7", b"w3", b"b4", b"n5"),
        "more than five": joined(b"/p/b", b"n0", *(b"r%d" % domid for domid in range(1, 12))),
        "a domain twice": joined(b"/p/b", b"n0", b"r1", b"w1"),
        "no entry": joined(b"/p/b"),
        "no payload": b"",
        "no NUL": b"/p/b\0n0",
        "an empty entry": joined(b"/p/b", b""),
        "an unknown letter": joined(b"/p/b", b"x0"),
        "a capital letter": joined(b"/p/b", b"R0"),
        "no number": joined(b"/p/b", b"r"),
        "a word for a number": joined(b"/p/b", b"rone"),
        "something behind the number": joined(b"/p/b", b"r1x"),
        "a negative number": joined(b"/p/b", b"r-1"),
        "a sign": joined(b"/p/b", b"r+1"),
        "a leading zero": joined(b"/p/b", b"r01"),
        "a hexadecimal number": joined(b"/p/b", b"r0x10"),
        "a blank": joined(b"/p/b", b"r 1"),
        "an owner that does not exist": joined(b"/p/b", b"n32760"),
        "another that does not exist": joined(b"/p/b", b"n0", b"r32760"),
        "a number above all": joined(b"/p/b", b"n0", b"r65536"),
        "a number beyond 32 bits": joined(b"/p/b", b"n0", b"r4294967297"),
        "a missing node": joined(b"/p/missing", b"n0"),
        "below a missing node": joined(b"/p/missing/below", b"n0"),
        "the root": joined(b"/", b"n0", b"r1"),
        "a bad path": joined(b"/p.", b"n0"),
        "a relative path": joined(b"x", b"n3"),
        "introduceDomain": joined(b"@introduceDomain", b"n0", b"r3"),
        "an unknown special path": joined(b"@other", b"n0"),
    }
    return (
        *(probe(f"SET_PERMS {name}", Type.SET_PERMS, payload, before=_RELATIVE) for name, payload in lists.items()),
        probe("GET_PERMS a list", Type.GET_PERMS, b"/p/a\0"),
        probe(
            "GET_PERMS an entry of nobody",
            Type.GET_PERMS,
            b"/p\0",
            before=(Request(Type.SET_PERMS, joined(b"/p", b"n0", b"r32760")),),
        ),
        probe("GET_PERMS introduceDomain", Type.GET_PERMS, b"@introduceDomain\0"),
        probe("GET_PERMS releaseDomain", Type.GET_PERMS, b"@releaseDomain\0"),
        probe(
            "GET_PERMS an inherited list", Type.GET_PERMS, b"/p/a/new\0", before=(Request(Type.WRITE, b"/p/a/new\0"),)
        ),
    )


def _watches() -> tuple[Probe, ...]:
    watched = (Request(Type.WATCH, joined(b"/p", b"mine")),)
    everywhere = tuple(Request(Type.WATCH, joined(path, path)) for path in (b"/p/b/deep", b"/p", b"/p/b"))
    payloads = {
        "a node": joined(b"/p", b"token"),
        "a missing node": joined(b"/p/missing", b"token"),
        "the root": joined(b"/", b"token"),
        "a special path": joined(b"@releaseDomain", b"token"),
        "a special path of a domain": joined(b"@releaseDomain/5", b"token"),
        "an unknown special path": joined(b"@other", b"token"),
        "a relative path": joined(b"x", b"token"),
        "an empty token": joined(b"/p", b""),
        "a second time": joined(b"/p", b"mine"),
        "with another token": joined(b"/p", b"other"),
        "no token": joined(b"/p"),
        "no NUL": b"/p\0token",
        "no payload": b"",
        "a bad path": joined(b"/p.", b"token"),
        "an empty path": joined(b"", b"token"),
        "a depth": joined(b"/p", b"token", b"1"),
        "a fourth string": joined(b"/p", b"token", b"1", b"2"),
        "a long token": joined(b"/p", b"t" * 3000),
    }
    gone = {
        "what is watched": joined(b"/p", b"mine"),
        "another token": joined(b"/p", b"other"),
        "another path": joined(b"/p/b", b"mine"),
        "a bad path": joined(b"/p.", b"mine"),
        "no token": joined(b"/p"),
        "a third string": joined(b"/p", b"mine", b"more"),
        "no payload": b"",
    }
    return (
        *(probe(f"WATCH {name}", Type.WATCH, payload, before=watched) for name, payload in payloads.items()),
        *(probe(f"UNWATCH {name}", Type.UNWATCH, payload, before=watched) for name, payload in gone.items()),
        probe("WATCH in an unknown transaction", Type.WATCH, joined(b"/p", b"token"), 99),
        probe("UNWATCH in an unknown transaction", Type.UNWATCH, joined(b"/p", b"mine"), 99, watched),
        probe("WRITE what is watched", Type.WRITE, b"/p/b\0x", before=watched),
        probe("RM what is watched", Type.RM, b"/p\0", before=watched),
        probe("RM below what is watched", Type.RM, b"/p/b\0", before=watched),
        probe("RM above what is watched", Type.RM, b"/p\0", before=(Request(Type.WATCH, joined(b"/p/b/deep", b"d")),)),
        probe("RM of a tree that is watched everywhere", Type.RM, b"/p/b\0", before=everywhere),
        probe("WRITE below what is watched twice", Type.WRITE, b"/p/b/new\0x", before=everywhere),
        probe(
            "WRITE below a missing parent that is watched",
            Type.WRITE,
            b"/p/x/y\0x",
            before=(Request(Type.WATCH, joined(b"/p/x", b"x")),),
        ),
        probe(
            "WRITE the parent of what is watched",
            Type.WRITE,
            b"/p/x\0x",
            before=(Request(Type.WATCH, joined(b"/p/x/y", b"y")),),
        ),
        probe("WRITE beside what is watched", Type.WRITE, b"/p/bb\0x", before=everywhere),
        probe("MKDIR what exists and is watched", Type.MKDIR, b"/p/b\0", before=everywhere),
        probe("SET_PERMS of what is watched", Type.SET_PERMS, joined(b"/p/b", b"n0"), before=everywhere),
        probe(
            "WRITE below what is watched relatively",
            Type.WRITE,
            b"/local/domain/0/x/y\0x",
            before=(Request(Type.WATCH, joined(b"x", b"r")),),
        ),
        probe("RESET_WATCHES", Type.RESET_WATCHES, b"\0", before=watched),
        probe("RESET_WATCHES without payload", Type.RESET_WATCHES, b"", before=watched),
        probe("WRITE after RESET_WATCHES", Type.WRITE, b"/p\0x", before=(*watched, Request(Type.RESET_WATCHES, b"\0"))),
        probe(
            "READ in a transaction after RESET_WATCHES",
            Type.READ,
            b"/p\0",
            OWN,
            (*_START, Request(Type.RESET_WATCHES, b"\0")),
        ),
    )


def _transactions() -> tuple[Probe, ...]:
    write = Request(Type.WRITE, b"/p/b\0x", OWN)
    end = Request(Type.TRANSACTION_END, b"T\0", OWN)
    return (
        probe("TRANSACTION_START", Type.TRANSACTION_START, b"\0"),
        probe("TRANSACTION_START a second one", Type.TRANSACTION_START, b"\0", before=_START),
        probe("TRANSACTION_START without payload", Type.TRANSACTION_START, b""),
        probe("TRANSACTION_START with a word", Type.TRANSACTION_START, b"word\0"),
        probe("TRANSACTION_START inside one", Type.TRANSACTION_START, b"\0", OWN, _START),
        probe("TRANSACTION_START inside an unknown one", Type.TRANSACTION_START, b"\0", 99),
        probe("TRANSACTION_END T", Type.TRANSACTION_END, b"T\0", OWN, (*_START, write)),
        probe("TRANSACTION_END F", Type.TRANSACTION_END, b"F\0", OWN, (*_START, write)),
        probe("TRANSACTION_END of nothing", Type.TRANSACTION_END, b"T\0"),
        probe("TRANSACTION_END of an unknown one", Type.TRANSACTION_END, b"T\0", 99),
        probe("TRANSACTION_END twice", Type.TRANSACTION_END, b"T\0", OWN, (*_START, end)),
        probe("TRANSACTION_END with another letter", Type.TRANSACTION_END, b"X\0", OWN, _START),
        probe("TRANSACTION_END with a word", Type.TRANSACTION_END, b"TF\0", OWN, _START),
        probe("TRANSACTION_END without NUL", Type.TRANSACTION_END, b"T", OWN, _START),
        probe("TRANSACTION_END without payload", Type.TRANSACTION_END, b"", OWN, _START),
        probe(
            "TRANSACTION_END after a wrong end",
            Type.TRANSACTION_END,
            b"T\0",
            OWN,
            (*_START, write, Request(Type.TRANSACTION_END, b"X\0", OWN)),
        ),
        *(
            probe(f"{kind.name} in an unknown transaction", kind, payload, 99)
            for kind, payload in (
                (Type.READ, b"/p\0"),
                (Type.RESET_WATCHES, b"\0"),
                (Type.GET_DOMAIN_PATH, b"7\0"),
                (Type.IS_DOMAIN_INTRODUCED, b"7\0"),
                (Type.RELEASE, b"7\0"),
                (Type.CONTROL, b"help\0"),
            )
        ),
        probe(
            "TRANSACTION_END of several changes",
            Type.TRANSACTION_END,
            b"T\0",
            OWN,
            (
                *_START,
                *(Request(Type.WRITE, b"/p/%s\0x" % name, OWN) for name in (b"z", b"b", b"x/y", b"z")),
                Request(Type.RM, b"/p/c\0", OWN),
                Request(Type.SET_PERMS, joined(b"/p/a", b"n3"), OWN),
            ),
        ),
        probe(
            "TRANSACTION_END of a removed tree",
            Type.TRANSACTION_END,
            b"T\0",
            OWN,
            (Request(Type.WATCH, joined(b"/p/b/deep", b"d")), *_START, Request(Type.RM, b"/p/b\0", OWN)),
        ),
        probe(
            "TRANSACTION_END of what came and went",
            Type.TRANSACTION_END,
            b"T\0",
            OWN,
            (*_START, Request(Type.WRITE, b"/p/n/m\0", OWN), Request(Type.RM, b"/p/n\0", OWN)),
        ),
        probe(
            "TRANSACTION_END of a node made anew",
            Type.TRANSACTION_END,
            b"T\0",
            OWN,
            (*_START, Request(Type.RM, b"/p/b\0", OWN), Request(Type.WRITE, b"/p/b\0new", OWN)),
        ),
        probe("READ a bad path in an unknown transaction", Type.READ, b"/p.\0", 99),
        probe("WRITE in a transaction", Type.WRITE, b"/p/b\0x", OWN, _START),
        probe("READ what the transaction wrote", Type.READ, b"/p/b\0", OWN, (*_START, write)),
        probe(
            "DIRECTORY in a transaction", Type.DIRECTORY, b"/p\0", OWN, (*_START, Request(Type.WRITE, b"/p/new\0", OWN))
        ),
    )


def _parts() -> tuple[Probe, ...]:
    """The generation in front differs from daemon to daemon, and is cut off by who compares."""
    many = tuple(Request(Type.WRITE, b"/p/many/" + b"%03d" % i + b"x" * 97 + b"\0") for i in range(60))
    payloads = {
        "from the beginning": joined(b"/p", b"0"),
        "from within": joined(b"/p", b"2"),
        "from the end": joined(b"/p", b"13"),
        "beyond the end": joined(b"/p", b"1000"),
        "of a leaf": joined(b"/p/c", b"0"),
        "of a missing node": joined(b"/p/missing", b"0"),
        "from a word": joined(b"/p", b"word"),
        "from a negative number": joined(b"/p", b"-1"),
        "without a number": joined(b"/p"),
        "with a third string": joined(b"/p", b"0", b"0"),
        "without payload": b"",
    }
    return (
        *(probe(f"DIRECTORY_PART {name}", Type.DIRECTORY_PART, payload) for name, payload in payloads.items()),
        probe("DIRECTORY of more than fits", Type.DIRECTORY, b"/p/many\0", before=many),
        probe("DIRECTORY_PART the first of more than fits", Type.DIRECTORY_PART, joined(b"/p/many", b"0"), before=many),
        probe(
            "DIRECTORY_PART the last of more than fits", Type.DIRECTORY_PART, joined(b"/p/many", b"4040"), before=many
        ),
    )


def _domains() -> tuple[Probe, ...]:
    numbers = {
        "domain 0": b"0\0",
        "a domain": b"7\0",
        "itself": b"32752\0",
        "a number above all": b"70000\0",
        "a word": b"word\0",
        "a negative number": b"-1\0",
        "no number": b"\0",
        "no payload": b"",
        "no NUL": b"7",
        "a second string": b"7\0007\0",
    }
    kinds = (Type.GET_DOMAIN_PATH, Type.IS_DOMAIN_INTRODUCED, Type.RELEASE, Type.RESUME)
    return (
        *(probe(f"{kind.name} {name}", kind, payload) for kind in kinds for name, payload in numbers.items()),
        probe("INTRODUCE with two strings", Type.INTRODUCE, joined(b"7", b"1")),
        probe("INTRODUCE without payload", Type.INTRODUCE, b""),
        probe("INTRODUCE with port 0", Type.INTRODUCE, joined(b"7", b"1", b"0")),
        probe("INTRODUCE with a negative port", Type.INTRODUCE, joined(b"7", b"1", b"-1")),
        probe("SET_TARGET of nobody", Type.SET_TARGET, joined(b"7", b"8")),
        probe("SET_TARGET with one string", Type.SET_TARGET, joined(b"7")),
        probe("SET_TARGET without payload", Type.SET_TARGET, b""),
    )


def _others() -> tuple[Probe, ...]:
    return (
        *(probe(f"type {kind}", kind, b"/p\0") for kind in (15, 16, 20, 27, 100, 2**32 - 1)),
        probe("type 20 in an unknown transaction", 20, b"/p\0", 99),
        probe("CONTROL an unknown command", Type.CONTROL, b"unheard-of\0"),
        probe("CONTROL without payload", Type.CONTROL, b""),
        probe("CONTROL help with a parameter", Type.CONTROL, b"help\0more\0"),
        probe("CONTROL check", Type.CONTROL, b"check\0"),
        probe("CONTROL print", Type.CONTROL, b"print\0a line\0"),
        probe("GET_FEATURE its own", Type.GET_FEATURE, b""),
        probe("GET_QUOTA nodes", Type.GET_QUOTA, b"nodes\0"),
        probe("SET_FEATURE", Type.SET_FEATURE, b"7\0000\0"),
        probe("SET_QUOTA", Type.SET_QUOTA, b"nodes\0001000\0"),
    )


PROBES = (*_paths(), *_writes(), *_permissions(), *_watches(), *_transactions(), *_parts(), *_domains(), *_others())
