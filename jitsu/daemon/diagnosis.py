"""What would keep jitsu from working on this machine: findings, each with its cure."""

import os
import pwd
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jitsu.config import Config, load
from jitsu.daemon.client import ask
from jitsu.daemon.diagnosis_xen import diagnose_xen
from jitsu.daemon.finding import Finding, checked
from jitsu.domains.accelerator import choose_accelerator, find_qemu
from jitsu.domains.kernel import recognise
from jitsu.domains.libvirt_connection import versions
from jitsu.errors import ConfigError, JitsuError
from jitsu.network import tap

OLDEST_KERNEL = (5, 18)
"""The first Linux with locked bridge ports."""

_SUBUID = Path("/etc/subuid")
_FIREWALL = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


def diagnose(path: Path) -> list[Finding]:
    """Look at everything. `path` is the configuration; a missing one is a note, for there may be none yet."""
    findings = [_kernel(), _privilege(), _tun(), _firewall()]
    if not path.exists():
        cure = "write one (see README.md) and name it with: -c jitsu.toml"
        return [*findings, _qemu(), Finding("configuration", "note", f"there is no {path}", cure)]
    try:
        config = load(path)
    except ConfigError as error:
        return [*findings, _qemu(), Finding("configuration", "bad", error.message, error.hint)]
    findings.append(Finding("configuration", "ok", f"{path}: {len(config.services)} services of {config.dns.zone}"))
    findings.extend(diagnose_xen(config) if config.daemon.driver == "xen" else _emulation(config))
    findings.extend(_services(config))
    running = _daemon(config)
    findings.extend(running)
    if running[0].state != "ok":
        findings.extend(_ports(config))
    return findings


def _emulation(config: Config) -> Iterator[Finding]:
    """Can guests run on QEMU?"""
    yield _qemu()
    if config.daemon.driver == "libvirt":
        yield checked("libvirt", lambda: _libvirt(config.libvirt.uri))
    yield _users(config)
    yield checked("accelerator", lambda: _accelerator(config))


def _kernel() -> Finding:
    release = os.uname().release
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    if numbers < OLDEST_KERNEL:
        return Finding("kernel", "bad", f"Linux {release} has no locked bridge ports", "use Linux 5.18 or newer")
    return Finding("kernel", "ok", f"Linux {release}")


def _privilege() -> Finding:
    if os.geteuid() == 0:
        return Finding("privilege", "ok", "root")
    return Finding(
        "privilege", "note", "not root: `jitsu serve` cannot make a bridge", "sudo jitsu serve; or jitsu demo"
    )


def _tun() -> Finding:
    if not os.path.exists(tap.DEVICE):
        return Finding("taps", "bad", f"there is no {tap.DEVICE}", "modprobe tun")
    if not os.access(tap.DEVICE, os.R_OK | os.W_OK):
        return Finding("taps", "bad", f"no permission to open {tap.DEVICE}", f"run as root, or: chmod 666 {tap.DEVICE}")
    return Finding("taps", "ok", f"{tap.DEVICE} opens")


def _qemu() -> Finding:
    return checked("qemu", lambda: Finding("qemu", "ok", find_qemu()))


def _firewall() -> Finding:
    try:
        filtered = _FIREWALL.read_text().strip() == "1"
    except OSError:
        filtered = False
    if filtered:
        return Finding(
            "firewall",
            "note",
            "bridged frames pass the IP firewall here; a FORWARD policy of DROP (docker sets one) stops guests",
            f"sysctl net.bridge.bridge-nf-call-iptables=0, or accept the bridge's traffic ({_FIREWALL} is 1)",
        )
    return Finding("firewall", "ok", "bridged frames pass by the IP firewall")


def _users(config: Config) -> Finding:
    uids = config.limits.uids
    if not uids:
        cure = 'give each a user of its own: [limits] uids = "200000-200999"'
        return Finding("users", "note", "all guests run as the user that the daemon runs as", cure)
    taken = [f"{entry.pw_name} ({entry.pw_uid})" for entry in pwd.getpwall() if entry.pw_uid in uids]
    taken += [f"a subordinate user of {name}" for name, lent in _lent_users() if uids[0] in lent or lent[0] in uids]
    if taken:
        return Finding("users", "bad", f"[limits] uids has {taken[0]} in it", "choose a range that nobody is in")
    return Finding("users", "ok", f"each guest is one of {uids[0]}-{uids[-1]}")


def _lent_users() -> Iterator[tuple[str, range]]:
    """The users that subuid(5) lends to others, for their containers."""
    try:
        lines = _SUBUID.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        match line.split(":"):
            case [name, first, count] if first.isdecimal() and count.isdecimal() and int(count) > 0:
                yield name, range(int(first), int(first) + int(count))


def _accelerator(config: Config) -> Finding:
    verdict = choose_accelerator(config.daemon.state)
    if verdict.accelerator == "kvm":
        return Finding("accelerator", "ok", f"kvm: {verdict.reason}")
    cure = (
        "guests are emulated: unikernels start in some 50 ms, Linux in seconds; enable virtualisation in the firmware"
    )
    return Finding("accelerator", "note", f"tcg: {verdict.reason}", cure)


def _libvirt(uri: str) -> Finding:
    return Finding("libvirt", "ok", f"{uri}: {versions(uri)}")


def _services(config: Config) -> Iterator[Finding]:
    for service in config.services.values():
        subject = f"service {service.name}"
        kernel = service.kernel

        def look(subject: str = subject, kernel: Path = kernel) -> Finding:
            return Finding(subject, "ok", f"{kernel}: {recognise(kernel).format.value}")

        yield checked(subject, look)


def _daemon(config: Config) -> list[Finding]:
    try:
        status = ask(config.daemon.runtime, "status")
    except JitsuError as error:
        return [Finding("daemon", "note", error.message, error.hint)]
    serves = f"process {status['pid']} serves {status['zone']} on {status['accelerator']}"
    found = [Finding("daemon", "ok", serves), _consoles(config, status["consoled"])]
    # On Xen the machine's own XenStore is looked at whether a daemon runs or not.
    return found if config.daemon.driver == "xen" else [*found, _xenstore(config, status)]


def _consoles(config: Config, consoled: int | None) -> Finding:
    if consoled is not None:
        return Finding("consoles", "ok", f"process {consoled} keeps them")
    cure = f"see why it does not stay: {config.daemon.state / 'consoled.log'}, or journalctl -u jitsu-consoled"
    return Finding("consoles", "bad", "no consoled keeps what guests print", cure)


def _xenstore(config: Config, status: dict[str, Any]) -> Finding:
    path = status["xenstore"]
    if status["xenstored"] is not None:
        return Finding("xenstore", "ok", f"process {status['xenstored']} keeps it: {path}")
    if config.xenstore.socket is not None:
        return Finding("xenstore", "bad", f"no XenStore answers on {path}", "start it, or leave out [xenstore] socket")
    cure = f"see why it does not stay: {config.daemon.state / 'xenstored.log'}, or journalctl -u jitsu-xenstored"
    return Finding("xenstore", "bad", f"no XenStore answers on {path}", cure)


def _ports(config: Config) -> Iterator[Finding]:
    """Are the directory's ports free? Addresses that are not there yet come with the bridge."""
    for address, port in config.dns.listen:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((address, port))
            except PermissionError:
                continue
            except OSError as error:
                if address != str(config.network.address.ip):
                    cure = f"see who holds it: ss -lunp 'sport = :{port}'"
                    yield Finding("dns", "bad", f"{address}:{port} cannot be had: {error.strerror}", cure)
