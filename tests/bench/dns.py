"""Questions for a name whose guest runs, beside dnsmasq with the same name, by dnsperf (SPECIFICATION.md)."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from dnslib import DNSRecord

from jitsu import artifacts
from jitsu.demo.play import theatre
from jitsu.demo.stage import BOARD, FIRST_GUEST, ZONE
from jitsu.network.namespace import inside
from tests.unit.dns_clients import UdpClient

NAME = f"www.{ZONE}"
PORTS = {"jitsu": 53, "dnsmasq": 5353}
ROUNDS = 5
SECONDS = 2
"""Of each round, for each server."""
PACED = 100
"""Questions of each round whose latency is taken, one at a time."""


def measure(rounds: int = ROUNDS) -> None:
    """Interleaved rounds: as many questions as each server takes, then one at a time."""
    kernel = artifacts.build("hello", print) / "hello.elf"
    rates: dict[str, list[float]] = {name: [] for name in PORTS}
    latencies: dict[str, list[float]] = {name: [] for name in PORTS}
    with theatre(kernel, limits={"answers": 0}) as (stage, _):
        stage.ask("start", service="www")
        questions = stage.folder / "questions"
        questions.write_text(f"{NAME} A\n")
        with dnsmasq(stage.folder), inside(stage.client):
            for _ in range(rounds):
                for name, port in PORTS.items():
                    said = dnsperf(port, questions, "-l", str(SECONDS), "-c", "8", "-q", "64")
                    rates[name].append(float(found(r"Queries per second:\s+([0-9.]+)", said)))
                    assert float(found(r"Queries lost:\s+\d+ \(([0-9.]+)%\)", said)) < 1, said
                for name, port in PORTS.items():
                    said = dnsperf(port, questions, "-n", str(PACED), "-c", "1", "-q", "1", "-v")
                    latencies[name] += [
                        float(each) * 1e6 for each in re.findall(r"^> NOERROR .* ([0-9.]+)$", said, re.M)
                    ]
    print(f"{rounds} interleaved rounds, medians")
    for name in PORTS:
        rate, latency = median(rates[name]), median(latencies[name])
        print(f"  {name:8} {rate:9.0f} questions/s, one at a time {latency:6.0f} us ({len(latencies[name])} of them)")
    ours, theirs = median(rates["jitsu"]), median(rates["dnsmasq"])
    slower = median(latencies["jitsu"]) / median(latencies["dnsmasq"])
    print(f"  ratio of questions/s {ours / theirs:.3f}, of latencies {slower:.2f}")


@contextmanager
def dnsmasq(folder: Path) -> Iterator[None]:
    """A dnsmasq on the board's address that knows the name."""
    command = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root"]
    own = [f"--port={PORTS['dnsmasq']}", f"--listen-address={BOARD}", "--bind-interfaces", f"--pid-file={folder}/pid"]
    process = subprocess.Popen([*command, *own, f"--host-record={NAME},{FIRST_GUEST},1"])
    try:
        await_answer()
        yield
    finally:
        process.terminate()
        process.wait()


def await_answer() -> None:
    """Ask dnsmasq until it answers."""
    for _ in range(200):
        with UdpClient((str(BOARD), PORTS["dnsmasq"])) as client:
            client.sock.settimeout(0.1)
            try:
                client.send(bytes(DNSRecord.question(NAME).pack()))
                client.sock.recv(4096)
                return
            except (ConnectionRefusedError, TimeoutError):
                time.sleep(0.02)
    raise SystemExit("dnsmasq does not answer")


def dnsperf(port: int, questions: Path, *arguments: str) -> str:
    """What dnsperf prints."""
    command = ["dnsperf", "-s", str(BOARD), "-p", str(port), "-d", str(questions), "-t", "1", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"dnsperf says something else:\n{text}")
    return match[1]
