"""Taps that go to guests without a daemon in between, and what a guest says of itself when it is asked there."""

import http.client
import json
import os
import socket
import subprocess
from typing import Any

from jitsu.network.frames import ACK, SYN, read_segment
from jitsu.network.tap import open_tap

GUEST, HOST = "10.77.0.10", "10.77.0.1"
CLIENT_PORT = 40123
_ETH_P_ALL = 3


class Tap:
    """The descriptor of a tap that goes to a guest; the host has an address on the newest."""

    def __init__(self, domid: int) -> None:
        self.name = f"jsav{domid}"
        self.fd = open_tap(self.name)

    def __enter__(self) -> "Tap":
        for command in (
            f"addr flush to {HOST}",
            f"link set {self.name} up",
            f"addr add {HOST}/24 dev {self.name}",
        ):
            subprocess.run(["ip", *command.split()], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def status(domid: int) -> tuple[dict[str, Any], int]:
    """The guest's status page, asked from a fixed port, and the initial sequence number with which it answered."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)) as wire:
        wire.bind((f"jsav{domid}", _ETH_P_ALL))
        connection = http.client.HTTPConnection(GUEST, timeout=10, source_address=(HOST, CLIENT_PORT))
        connection.connect()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.request("GET", "/status")
        page = json.loads(connection.getresponse().read())
        connection.close()
        wire.settimeout(5)
        while True:
            segment = read_segment(wire.recv(2048))
            if segment is not None and segment.flags & (SYN | ACK) == SYN | ACK:
                return page, segment.sequence
