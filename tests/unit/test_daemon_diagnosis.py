"""What the doctor says of guests' users, consoles and the XenStore; each finding that is not good has its cure."""

import pwd
from pathlib import Path

import pytest

from jitsu.daemon import diagnosis
from jitsu.daemon.diagnosis import Finding, diagnose
from jitsu.domains import accelerator
from jitsu.errors import DaemonError

STATUS = {
    "pid": 1,
    "zone": "jitsu.test",
    "accelerator": "tcg",
    "consoled": 2,
    "xenstored": 3,
    "xenstore": "/run/jitsu/xenstore.sock",
}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration, on a machine without KVM and without subordinate users."""
    monkeypatch.setattr(accelerator, "KVM", tmp_path / "kvm")
    monkeypatch.setattr(diagnosis, "_SUBUID", tmp_path / "subuid")
    path = tmp_path / "jitsu.toml"
    path.write_text(
        f'[daemon]\nruntime = "{tmp_path}/run"\nstate = "{tmp_path}/state"\n'
        '[limits]\n\n[service.www]\nkernel = "hello.elf"\naddress = "10.77.0.10"\n'
    )
    return path


def users(path: Path, uids: str = "") -> Finding:
    path.write_text(path.read_text().replace("[limits]\n", f'[limits]\nuids = "{uids}"\n'))
    return next(finding for finding in diagnose(path) if finding.subject == "users")


def test_guests_without_users_of_their_own_are_a_note(path: Path) -> None:
    finding = users(path)
    assert (finding.state, finding.cure) == (
        "note",
        'give each a user of its own: [limits] uids = "200000-200999"',
    )


def test_users_that_nobody_else_has_are_good(path: Path) -> None:
    (path.parent / "subuid").write_text("alice:100000:65536\nnonsense\nbob:300000:10\n")
    assert users(path, "200000-200999") == Finding("users", "ok", "each guest is one of 200000-200999")


@pytest.mark.parametrize("lent", ["alice:165536:65536", "alice:200500:1", "alice:199999:2", "alice:0:4000000000"])
def test_users_that_containers_have_are_bad(path: Path, lent: str) -> None:
    (path.parent / "subuid").write_text(f"{lent}\n")
    finding = users(path, "200000-200999")
    assert (finding.state, finding.message) == ("bad", "[limits] uids has a subordinate user of alice in it")
    assert finding.cure


def test_users_that_people_are_are_bad(path: Path) -> None:
    name, uid = next((entry.pw_name, entry.pw_uid) for entry in pwd.getpwall() if entry.pw_uid > 0)
    finding = users(path, f"{uid}-{uid + 63}")
    assert (finding.state, finding.message) == ("bad", f"[limits] uids has {name} ({uid}) in it")


@pytest.mark.parametrize(
    ("consoled", "found"),
    [
        (4711, Finding("consoles", "ok", "process 4711 keeps them")),
        (
            None,
            Finding(
                "consoles",
                "bad",
                "no consoled keeps what guests print",
                "see why it does not stay: STATE/consoled.log, or journalctl -u jitsu-consoled",
            ),
        ),
    ],
)
def test_a_daemon_without_a_consoled_is_bad(
    path: Path, monkeypatch: pytest.MonkeyPatch, consoled: int | None, found: Finding
) -> None:
    status = {**STATUS, "consoled": consoled}
    monkeypatch.setattr(diagnosis, "ask", lambda runtime, do: status)
    finding = next(finding for finding in diagnose(path) if finding.subject == "consoles")
    cure = finding.cure.replace(str(path.parent / "state"), "STATE")
    assert Finding(finding.subject, finding.state, finding.message, cure) == found


@pytest.mark.parametrize(
    ("xenstored", "section", "found"),
    [
        (4711, "", ("ok", "process 4711 keeps it: /run/x.sock", "")),
        (
            None,
            "",
            (
                "bad",
                "no XenStore answers on /run/x.sock",
                "see why it does not stay: STATE/xenstored.log, or journalctl -u jitsu-xenstored",
            ),
        ),
        (
            None,
            '[xenstore]\nsocket = "/run/x.sock"\n',
            ("bad", "no XenStore answers on /run/x.sock", "start it, or leave out [xenstore] socket"),
        ),
    ],
)
def test_a_daemon_without_a_xenstore_is_bad(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    xenstored: int | None,
    section: str,
    found: tuple[str, str, str],
) -> None:
    path.write_text(section + path.read_text())
    status = {**STATUS, "xenstored": xenstored, "xenstore": "/run/x.sock"}
    monkeypatch.setattr(diagnosis, "ask", lambda runtime, do: status)
    finding = next(finding for finding in diagnose(path) if finding.subject == "xenstore")
    cure = finding.cure.replace(str(path.parent / "state"), "STATE")
    assert (finding.state, finding.message, cure) == found


def test_without_a_daemon_nothing_is_said_of_consoles(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(runtime: Path, do: str) -> None:
        raise DaemonError("no jitsu serve listens", hint="start it")

    monkeypatch.setattr(diagnosis, "ask", nobody)
    assert not any(finding.subject == "consoles" for finding in diagnose(path))
