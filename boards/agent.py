"""The host's hand in dom0: reads requests from a virtio-serial port, one JSON object a line, and answers each.

It runs alone in the board's image, on Debian's Python, and imports nothing of ours. Requests, and what answers have:

    {"id": 1, "do": "run", "command": ["xl", "list"], "input": "", "timeout": 60}       rc, out, err, late
    {"id": 2, "do": "put", "path": "/tmp/x", "data": "base64", "at": 0, "mode": 420}    size
    {"id": 3, "do": "get", "path": "/tmp/x", "at": 0, "most": 65536}                    data
    {"id": 4, "do": "wake", "clock": 1700000000000000000, "seed": "hexadecimal"}        uptime

with the same id, or else `error`, a text. Requests are carried out side by side. Output that is no
UTF-8 comes as lone surrogates, as Python's surrogateescape makes them, so that the bytes can be had again.
"""

import base64
import fcntl
import glob
import json
import os
import select
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

PORT = "org.jitsu.board"

_CHUNK = 1 << 16

# linux/random.h
_RNDADDENTROPY, _RNDRESEEDCRNG = 0x40085203, 0x5207

ABSENT = 0.05
"""Seconds between looks for a host that is not connected, which the port tells of by hanging up."""


def serve(port: int) -> None:
    """Answer what comes by this descriptor, for ever."""
    answering = threading.Lock()
    pieces: list[bytes] = []
    while True:
        received = os.read(port, _CHUNK)
        if not received:
            # A host that went took the rest of its line along.
            pieces.clear()
            _await_host(port)
            continue
        *lines, rest = received.split(b"\n")
        for line in lines:
            whole = b"".join([*pieces, line])
            pieces.clear()
            threading.Thread(target=_serve, args=(port, answering, whole)).start()
        pieces.append(rest)


def device() -> str:
    """The path of the port. Raises LookupError if the board has none."""
    for named in glob.glob("/sys/class/virtio-ports/*/name"):
        with open(named, encoding="ascii") as name:
            if name.read().strip() == PORT:
                return "/dev/" + named.split("/")[-2]
    raise LookupError(PORT)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What the request is answered, without its id. Raises KeyError, TypeError, ValueError or OSError."""
    work: dict[str, Callable[..., dict[str, Any]]] = {"run": _run, "put": _put, "get": _get, "wake": _wake}
    return work[request.pop("do")](**request)


def _await_host(port: int) -> None:
    hung_up = select.poll()
    hung_up.register(port, 0)
    while hung_up.poll(0):
        time.sleep(ABSENT)


def _serve(port: int, answering: threading.Lock, line: bytes) -> None:
    number: Any = None
    try:
        request = json.loads(line)
        number = request.pop("id")
        reply = answer(request)
    except (OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        reply = {"error": f"{type(error).__name__}: {error}"}
    # With json's default of ASCII alone, lone surrogates pass.
    told = memoryview(json.dumps({"id": number, **reply}).encode() + b"\n")
    with answering:
        while told:
            told = told[os.write(port, told[:_CHUNK]) :]


def _run(command: list[str], input: str = "", timeout: float = 60) -> dict[str, Any]:  # noqa: A002 (it is subprocess's)
    """Run a program. One that takes longer is killed with all that it started, and what it said until then is told."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        cwd="/root",
    )
    late = False
    try:
        out, err = process.communicate(_bytes(input), timeout)
    except subprocess.TimeoutExpired:
        late = True
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
    return {"rc": process.returncode, "out": _text(out), "err": _text(err), "late": late}


def _put(path: str, data: str, at: int = 0, mode: int = 0o644) -> dict[str, Any]:
    """Write a piece of a file; the first one makes it anew."""
    with open(path, "r+b" if at else "wb") as file:
        file.seek(at)
        file.write(base64.b64decode(data))
        size = file.tell()
    os.chmod(path, mode)
    return {"size": size}


def _get(path: str, at: int = 0, most: int = _CHUNK) -> dict[str, Any]:
    with open(path, "rb") as file:
        file.seek(at)
        return {"data": base64.b64encode(file.read(most)).decode()}


def _wake(clock: int, seed: str) -> dict[str, Any]:
    """A board that was restored slept and is one of many copies: give it the time, in ns since 1970, and randomness."""
    fresh = bytes.fromhex(seed)
    time.clock_settime_ns(time.CLOCK_REALTIME, clock)
    random = os.open("/dev/urandom", os.O_RDWR)
    try:
        # struct rand_pool_info: bits, bytes, the bytes. The kernel draws new keys from its pool upon the second call.
        fcntl.ioctl(random, _RNDADDENTROPY, struct.pack("ii", 8 * len(fresh), len(fresh)) + fresh)
        fcntl.ioctl(random, _RNDRESEEDCRNG)
    finally:
        os.close(random)
    with open("/proc/uptime", encoding="ascii") as uptime:
        return {"uptime": float(uptime.read().split()[0])}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


if __name__ == "__main__":
    serve(os.open(device(), os.O_RDWR))
