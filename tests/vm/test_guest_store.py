"""Guests that have the XenStore on a virtio-serial port: real QEMU, hello, and `jitsu xenstored`, no daemon of ours."""

import asyncio
import fcntl
import os
import random
import secrets
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from jitsu.domains.accelerator import choose_accelerator
from jitsu.domains.console_keeper import ConsoleKeeper
from jitsu.domains.driver import GUEST_PORTS, Domain, DomainEvent, DomainSpec, Happening, Verdict
from jitsu.domains.libvirt import LibvirtDriver
from jitsu.domains.qemu import QemuDriver
from jitsu.domains.qemu_adoption import survivors
from jitsu.xenstore.client import StoreClient
from jitsu.xenstore.wire import Message, Parser, StoreError, Type
from tests.peers.xenstore_daemons import debian, with_debian_libraries
from tests.vm.libvirt_host import LibvirtHost
from tests.vm.wires import GUEST, Tap, status

pytestmark = pytest.mark.usefixtures("private_network")

INSTANCE = f"store-{os.getpid()}"
PATIENCE = 20.0


class Host:
    """A host with a driver, a store, and guests whose configuration is in the store."""

    keeps_state = False

    def __init__(self, folder: Path, hello: Path) -> None:
        self.folder = folder
        self.run = folder / "run"
        self.events: list[DomainEvent] = []
        self.keeper = ConsoleKeeper(self.run, folder / "console")
        verdict = Verdict(choose_accelerator(folder).accelerator, "")
        self.driver = QemuDriver(INSTANCE, self.run, folder / "saved", self.keeper, verdict, self.events.append)
        self._hello = hello
        self._store: subprocess.Popen[str] | None = None

    def start_store(self) -> None:
        options = [f"--socket={self.folder}/socket", f"--guest-ports={self.run}/{GUEST_PORTS}"]
        options += [f"--state={self.folder}/state"] if self.keeps_state else []
        command = [sys.executable, "-m", "jitsu.cli.main", "xenstored", *options]
        self._store = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._store.stdout is not None
        assert self._store.stdout.readline() == f"a XenStore on {self.folder}/socket\n"

    def kill_store(self) -> None:
        if self._store is not None:
            self._store.kill()
            self._store.communicate()

    async def client(self) -> StoreClient:
        return await StoreClient.connect(self.folder / "socket")

    def spec(self, domid: int, *, tells_ready: bool = False, cmdline: str = "") -> DomainSpec:
        mac = "52:54:00:00:00:0a"
        return DomainSpec(
            "hello",
            domid,
            self._hello,
            8 << 20,
            cmdline,
            mac,
            tells_ready=tells_ready,
            fingerprint="f",
            store_port=True,
        )

    async def introduce(self, store: StoreClient, domid: int, **nodes: str) -> None:
        """Make a domain known, with what it is to find in the store below `data/jitsu`."""
        home = f"/local/domain/{domid}"
        await store.mkdir(f"{home}/data")
        await store.set_perms(f"{home}/data", [f"n{domid}"])
        for name, value in nodes.items():
            await store.write(f"{home}/data/jitsu/{name.replace('__', '/')}", value.encode())
        await store.introduce(domid, 1, 1)

    async def launch(self, spec: DomainSpec) -> Domain:
        with Tap(spec.domid) as tap:
            return await self.driver.launch(spec, [tap.fd])


CONFIG = {"config__name": "stored", "config__ip": f"{GUEST}/24"}


@pytest.fixture
async def host(tmp_path: Path, hello: Path) -> AsyncIterator[Host]:
    place = Host(tmp_path, hello)
    yield place
    place.kill_store()
    await place.driver.close()
    place.keeper.close()
    for pid in survivors(INSTANCE):
        os.kill(pid, signal.SIGKILL)


async def ready(store: StoreClient, domid: int, means: Callable[[list[str]], bool] = bool) -> list[str]:
    """The words of a guest's `data/jitsu/ready`, as soon as they are what is waited for."""
    path = f"/local/domain/{domid}/data/jitsu/ready"
    async with asyncio.timeout(PATIENCE), await store.watch(path) as changes:
        async for _ in changes:
            with suppress(StoreError):
                words = (await store.read(path)).decode().split(" ")
                if means(words):
                    return words
    raise AssertionError("the subscription ended")


async def gone(host: Host) -> DomainEvent:
    async with asyncio.timeout(PATIENCE):
        while not host.events:  # noqa: ASYNC110 - a list
            await asyncio.sleep(0.01)
    return host.events.pop(0)


def listed(host: Host) -> str:
    """What Debian's xenstore-ls shows."""
    command = [debian() / "usr/bin/xenstore-ls", "-f"]
    environment = with_debian_libraries() | {"XENSTORED_PATH": f"{host.folder}/socket"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def a_wake() -> tuple[str, str]:
    clock = str(time.time_ns())
    return f"{secrets.token_hex(32)} {clock}", clock


async def test_a_guest_that_has_nothing_but_the_store(host: Host) -> None:
    host.start_store()
    async with await host.client() as store:
        domain = await host.launch(host.spec(7))
        await host.introduce(store, 7, **CONFIG)
        words = await ready(store, 7)
        assert (words[0], len(words)) == ("stored", 2)
        page, _ = status(7)
        assert (page["name"], page["boot_us"]["ready"], page["unix_us"]) == ("stored", int(words[1]), 0)

        listing = await asyncio.to_thread(listed, host)
        assert f'/local/domain/7/data/jitsu/ready = "{" ".join(words)}"\n' in listing

        for _ in range(2):
            wake, clock = a_wake()
            await store.write("/local/domain/7/data/jitsu/control/wake", wake.encode())
            assert await ready(store, 7, lambda words, clock=clock: words[2:] == [clock]) == [*words, clock]
            later, _ = status(7)
            assert later["boot_id"] == page["boot_id"]
            assert later["unix_us"] / 1e6 == pytest.approx(time.time(), abs=120)
        # Somebody speaks to its monitor, as the driver does when it hears that it is ready.
        await host.driver.resume(domain)
        await store.write("/local/domain/7/data/jitsu/control/stop", b"")
        end = await gone(host)
        assert (end.happening, end.domain) == (Happening.CRASHED, domain)
        assert "reset itself" in end.detail
    assert list((host.run / GUEST_PORTS).iterdir()) == []
    assert (host.run / GUEST_PORTS).stat().st_mode & 0o777 == 0o700


async def test_the_command_line_wins_over_the_store_which_comes_late(host: Host) -> None:
    """The guest waits for a store that is not there yet; of two names the command line's is taken."""
    await host.launch(host.spec(7, cmdline="name=told"))
    await asyncio.sleep(0.5)
    host.start_store()
    async with await host.client() as store:
        await host.introduce(store, 7, **CONFIG)
        assert (await ready(store, 7))[0] == "told"
    assert status(7)[0]["name"] == "told"


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ({"config__name": "stored"}, "panic: configuration: ip= is missing, and so is ip6="),
        (CONFIG | {"config__gw": "10.78.0.1"}, "panic: configuration: gw= is not inside the network of ip="),
        (CONFIG | {"config__ip6": "fd77::1"}, "panic: configuration: ip6= is not of the form x:x::x/64"),
    ],
)
async def test_what_is_wrong_in_the_store_ends_the_guest(host: Host, nodes: dict[str, str], said: str) -> None:
    host.start_store()
    async with await host.client() as store:
        await host.introduce(store, 7, **nodes)
        await host.launch(host.spec(7))
        assert (await gone(host)).happening is Happening.CRASHED
    [log] = (host.folder / "console").glob("*.log")
    assert said in log.read_text()


@pytest.mark.parametrize("keeps_state", [True, False], ids=["with state", "without"])
async def test_a_guest_outlives_its_store(host: Host, keeps_state: bool) -> None:
    """A store with a state file knows whom it served; one without is told again."""
    host.keeps_state = keeps_state
    host.start_store()
    async with await host.client() as store:
        await host.introduce(store, 7, **CONFIG)
        await host.launch(host.spec(7))
        words = await ready(store, 7)
    for _ in range(3):
        async with await host.client() as store:
            await store.rm("/local/domain/7/data/jitsu/ready")
        host.kill_store()
        host.start_store()
        assert status(7)[0]["name"] == "stored"
        async with await host.client() as store:
            if not keeps_state:
                await host.introduce(store, 7)
            assert await ready(store, 7) == words
            # Its watches are set again, too.
            wake, clock = a_wake()
            await store.write("/local/domain/7/data/jitsu/control/wake", wake.encode())
            words = await ready(store, 7, lambda words, clock=clock: words[2:] == [clock])


async def test_a_guest_of_libvirts_has_the_store_too(host: Host, libvirt: LibvirtHost) -> None:
    host.start_store()
    verdict = Verdict("tcg", "for a test")
    driver = LibvirtDriver(libvirt.uri, INSTANCE, host.run, host.keeper, verdict, host.events.append)
    await driver.open()
    try:
        async with await host.client() as store:
            await host.introduce(store, 7, **CONFIG)
            with Tap(7) as tap:
                domain = await driver.launch(host.spec(7, tells_ready=True), [tap.fd])
            assert (await ready(store, 7))[0] == "stored"
            assert status(7)[0]["name"] == "stored"
            await driver.destroy(domain)
        assert list((host.run / GUEST_PORTS).iterdir()) == []
    finally:
        await driver.close()


@pytest.mark.parametrize("tells_ready", [False, True], ids=["store", "store and ready port"])
async def test_a_restored_guest_says_so_in_the_store(host: Host, tells_ready: bool) -> None:
    host.start_store()
    spec = host.spec(7, tells_ready=tells_ready)
    async with await host.client() as store:
        await host.introduce(store, 7, **CONFIG)
        original = await host.launch(spec)
        words = await ready(store, 7)
        await host.driver.save(original, spec)
        await host.driver.destroy(original)
        await store.release(7)
        tokens = set()
        for domid in (8, 9):
            copied = replace(spec, domid=domid)
            assert host.driver.shape(copied) == host.driver.shape(spec)
            with Tap(domid) as tap:
                blank = await host.driver.blank(copied, [tap.fd])
            await host.driver.restore(blank, copied)
            wake, clock = a_wake()
            # A guest with both ports was told by the driver; of the store it must hear nothing for that.
            await host.introduce(store, domid, **({} if tells_ready else {"control__wake": wake}))
            told = await ready(store, domid, lambda words: len(words) == 3)
            assert told[:2] == words[:2]
            if not tells_ready:
                assert told[2] == clock
            page, _ = status(domid)
            assert page["unix_us"] / 1e6 == pytest.approx(time.time(), abs=120)
            tokens.add(page["token"])
            await store.write(f"/local/domain/{domid}/data/jitsu/control/stop", b"")
            end = await gone(host)
            while end.happening is Happening.READY:
                end = await gone(host)
            assert end.domain.domid == domid
        assert len(tokens) == 2


async def test_whoever_listens_next_hears_whole_messages_from_the_first_byte(
    host: Host, full: bool, seeded: random.Random
) -> None:
    """A listener that answers, goes in the middle of whatever is said, and comes back, over and over."""
    await host.launch(host.spec(7))
    path = f"{host.run}/{GUEST_PORTS}/7.sock"
    answers = {b"data/jitsu/config/name\0": b"stored", b"data/jitsu/config/ip\0": f"{GUEST}/24".encode()}
    greetings: set[int] = set()

    def listen(most: int) -> int:
        """Serve one connection until it is quiet or `most` bytes were heard, and say how many were."""
        parser, heard = Parser(), 0
        with socket.socket(socket.AF_UNIX) as port:
            port.connect(path)
            port.settimeout(0.5 if most > 4096 else 0.05)
            with suppress(TimeoutError):
                while heard < most:
                    data = port.recv(min(4096, most - heard))
                    heard += len(data)
                    for message in parser.feed(data):
                        assert message.type in (Type.RESET_WATCHES, Type.WATCH, Type.READ, Type.WRITE)
                        if message.type == Type.RESET_WATCHES:
                            assert message.request not in greetings
                            greetings.add(message.request)
                        if message.type == Type.READ:
                            value = answers.get(message.payload)
                            kind = Type.READ if value is not None else Type.ERROR
                            answer = Message(kind, message.request, 0, value or b"ENOENT\0")
                        else:
                            answer = Message(message.type, message.request, 0, b"OK\0")
                        # An event for each answer keeps the guest talking.
                        event = Message(Type.WATCH_EVENT, 0, 0, b"data/jitsu/control/wake\0" * 2)
                        said = answer.encode() + event.encode() * (message.type == Type.READ)
                        port.sendall(said[: len(said) if seeded.random() < 0.9 else seeded.randrange(len(said))])
        return heard

    for _ in range(2000 if full else 150):
        await asyncio.to_thread(listen, seeded.randrange(1, 2048))
    assert len(greetings) > 20
    host.start_store()
    async with await host.client() as store:
        await host.introduce(store, 7, **CONFIG)
        assert (await ready(store, 7))[0] == "stored"
    assert status(7)[0]["name"] == "stored"


async def grown(port: socket.socket, was: int) -> int:
    """The number of bytes that wait to be read, when it is more than it was; or after half a second."""
    for _ in range(500):
        [waiting] = struct.unpack("i", fcntl.ioctl(port, termios.FIONREAD, bytes(4)))
        if waiting > was:
            break
        await asyncio.sleep(0.001)
    return int(waiting)


async def test_what_did_not_fit_into_the_port_is_not_heard_by_the_next_listener(host: Host) -> None:
    """A listener that reads nothing and answers what it did not hear, until QEMU holds the guest back."""
    host.start_store()
    async with await host.client() as store:
        await host.introduce(store, 7, **CONFIG)
        await host.launch(host.spec(7))
        await ready(store, 7)
        await store.release(7)
        event = Message(Type.WATCH_EVENT, 0, 0, b"data/jitsu/control/wake\0" * 2).encode()
        with socket.socket(socket.AF_UNIX) as port:
            port.connect(f"{host.run}/{GUEST_PORTS}/7.sock")
            port.settimeout(PATIENCE)
            greeting = next(Parser().feed(port.recv(16 + 1)))
            port.sendall(Message(Type.RESET_WATCHES, greeting.request, 0, b"OK\0").encode())
            # The guest numbers its requests one after the other. Of the first six this answers the one that reads the
            # node; then each event makes it read again, and each answer lets it do so.
            number, was = greeting.request + 2, -1
            while (now := await grown(port, was)) > was:
                port.sendall(Message(Type.ERROR, number, 0, b"ENOENT\0").encode() + event)
                number = greeting.request + 6 if was < 0 else number + 1
                was = now
            assert number - greeting.request > 100, "the port was not full, the guest was silent"
        with socket.socket(socket.AF_UNIX) as port:
            port.connect(f"{host.run}/{GUEST_PORTS}/7.sock")
            port.settimeout(PATIENCE)
            heard = next(Parser().feed(port.recv(4096)))
            assert (heard.type, heard.request > greeting.request) == (Type.RESET_WATCHES, True)
        await host.introduce(store, 7)
        assert (await ready(store, 7))[0] == "stored"


async def test_nonsense_from_the_store_leaves_a_guest_serving(host: Host, seeded: random.Random) -> None:
    host.start_store()
    async with await host.client() as store:
        await host.introduce(store, 7, **CONFIG)
        await host.launch(host.spec(7))
        await ready(store, 7)
        await store.release(7)
        for _ in range(20):
            with socket.socket(socket.AF_UNIX) as port:
                port.connect(f"{host.run}/{GUEST_PORTS}/7.sock")
                port.settimeout(PATIENCE)
                port.recv(4096)
                port.sendall(seeded.randbytes(seeded.randrange(1, 20000)))
        assert status(7)[0]["name"] == "stored"
        await host.introduce(store, 7)
        assert (await ready(store, 7))[0] == "stored"


async def test_the_next_daemon_keeps_the_ports_of_those_who_live(host: Host) -> None:
    host.start_store()
    async with await host.client() as store:
        await host.introduce(store, 7, **CONFIG)
        domain = await host.launch(host.spec(7))
        await ready(store, 7)
        await host.driver.close()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(f"{host.run}/{GUEST_PORTS}/44.sock")
        assert await host.driver.adopt() == [domain]
        assert [port.name for port in (host.run / GUEST_PORTS).iterdir()] == ["7.sock"]
        wake, clock = a_wake()
        await store.write("/local/domain/7/data/jitsu/control/wake", wake.encode())
        await ready(store, 7, lambda words: words[2:] == [clock])
        os.kill(domain.handle, signal.SIGKILL)
        assert (await gone(host)).domain == domain
        assert list((host.run / GUEST_PORTS).iterdir()) == []
