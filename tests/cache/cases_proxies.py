"""A proxy in front that tells of its client by the PROXY protocol (haproxy's proxy-protocol.txt, 2.1 and 2.2)."""

import struct

from tests.cache.case import After, Case, Expected, Profile, Silence, get, ok, refused

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V4 = bytes((192, 0, 2, 1, 198, 51, 100, 1)) + struct.pack(">HH", 40000, 80)
_V6 = bytes.fromhex("20010db8000000000000000000000001" * 2) + struct.pack(">HH", 40000, 80)
_HELLO = get("/hello.txt")


def _v2(command: int, family: int, addresses: bytes) -> bytes:
    return _SIGNATURE + struct.pack(">BBH", command, family, len(addresses)) + addresses


def _served(name: str, header: bytes) -> Case:
    return Case(f"PROXY: {name}", "proxy-protocol", header + _HELLO, (ok("hello.txt"),), profile=Profile.PROXIED)


def _not_served(name: str, begin: bytes) -> Case:
    expects: tuple[Expected, ...] = (Silence(),)
    return Case(f"PROXY: {name}", "proxy-protocol", begin + _HELLO, expects, After.CLOSED, Profile.PROXIED)


CASES = (
    _served("v1, TCP4", b"PROXY TCP4 192.0.2.1 198.51.100.1 40000 80\r\n"),
    _served("v1, TCP6", b"PROXY TCP6 2001:db8::1 2001:db8::2 40000 80\r\n"),
    _served("v1, the longest", b"PROXY TCP6 " + b"ffff:" * 7 + b"ffff " + b"ffff:" * 7 + b"ffff 65535 65535\r\n"),
    _served("v1, UNKNOWN", b"PROXY UNKNOWN\r\n"),
    _served("v1, UNKNOWN with more", b"PROXY UNKNOWN ffff:f... 65535 65535\r\n"),
    _served("v2, TCP over IPv4", _v2(0x21, 0x11, _V4)),
    _served("v2, TCP over IPv6", _v2(0x21, 0x21, _V6)),
    _served("v2, LOCAL", _v2(0x20, 0x00, b"")),
    _served("v2, LOCAL with addresses", _v2(0x20, 0x11, _V4)),
    _served("v2, unspecified", _v2(0x21, 0x00, b"")),
    _served("v2, with more behind the addresses", _v2(0x21, 0x11, _V4 + b"\x04\x00\x03abc")),
    _not_served("missing", b""),
    _not_served("v1, of another kind", b"PROXY TCP5 192.0.2.1 198.51.100.1 40000 80\r\n"),
    _not_served("v1, no address", b"PROXY TCP4 192.0.2.256 198.51.100.1 40000 80\r\n"),
    _not_served("v1, no end of line", b"PROXY TCP4 " + b"1" * 200 + b"\r\n"),
    _not_served("v1, in small letters", b"proxy TCP4 192.0.2.1 198.51.100.1 40000 80\r\n"),
    _not_served("v2, of version 3", _v2(0x31, 0x11, _V4)),
    _not_served("v2, of a command that nobody knows", _v2(0x2F, 0x11, _V4)),
    _not_served("v2, too short for its addresses", _v2(0x21, 0x11, _V4[:4])),
    _not_served("v2, a broken signature", b"\r\n\r\n\x00\r\nQUIX\n" + _v2(0x21, 0x11, _V4)[12:]),
    Case(
        "PROXY: two requests behind one header",
        "proxy-protocol",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 40000 80\r\n" + _HELLO * 2,
        (ok("hello.txt"),) * 2,
        profile=Profile.PROXIED,
    ),
    Case(
        "PROXY: a second header is a broken request",
        "proxy-protocol",
        b"PROXY UNKNOWN\r\nPROXY UNKNOWN\r\n" + _HELLO,
        (refused(400, 405, 501),),
        After.CLOSED,
        Profile.PROXIED,
    ),
)
