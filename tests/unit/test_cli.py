"""The command line: what is printed for people and for programs, on which stream, and with which exit code."""

import asyncio
import json
import logging
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from jitsu import __version__, artifacts
from jitsu.cli.main import main
from jitsu.cli.waterfall import waterfall
from jitsu.daemon.control import SOCKET_NAME, ControlServer, Request
from jitsu.errors import DomainError
from jitsu.trace import TraceRecord
from tests.unit.golden import expect_golden

COMMANDS = ["demo", "doctor", "image", "logs", "ps", "serve", "start", "stop", "trace"]

ROWS: list[dict[str, Any]] = [
    {
        "service": "hello",
        "state": "serving",
        "address": "10.77.0.10",
        "names": ["hello"],
        "domid": 3,
        "pid": 4711,
        "memory": 16 << 20,
        "up": 61.4,
        "connections": 2,
        "held": 0,
        "summons": 7,
        "last": "idle for 60.1 s",
    },
    {"service": "world", "state": "asleep", "address": "10.77.0.11", "names": [], "domid": None, "pid": None}
    | {"memory": 16 << 20, "up": None, "connections": 0, "held": 0, "summons": 1, "last": ""},
]

TRACE: TraceRecord = {
    "service": "hello",
    "cause": "syn",
    "outcome": "serving",
    "domid": 3,
    "started": 1_700_000_000.5,
    "total_ms": 24.0,
    "notes": ["10.77.0.200:40000 repeated its SYN after 1003 ms on hold"],
    "spans": [
        {"name": "decide", "start_ms": 0.0, "ms": 0.05},
        {"name": "tap", "start_ms": 0.1, "ms": 0.4},
        {"name": "spawn", "start_ms": 0.5, "ms": 1.5},
        {"name": "boot", "start_ms": 2.0, "ms": 21.0},
        {"name": "gate", "start_ms": 23.0, "ms": 0.02},
        {"name": "deliver", "start_ms": 23.99, "ms": 0.01},
    ],
}

Printed = tuple[int, str, str]
"""Exit code, standard output, standard error."""

Jitsu = Callable[..., Printed]


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the terminal on which the tests happen to run."""
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "JITSU_CONFIG", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def jitsu(capsys: pytest.CaptureFixture[str]) -> Jitsu:
    """Runs a command in this process."""

    def run(*arguments: str) -> Printed:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        printed = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, printed.out, printed.err

    return run


@pytest.fixture
def config() -> Iterator[str]:
    """A configuration whose runtime folder has a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="jitsu-") as folder:
        path = Path(folder) / "jitsu.toml"
        path.write_text(
            f'[daemon]\nruntime = "{folder}"\nstate = "{folder}"\n'
            '[service.hello]\nkernel = "hello.elf"\naddress = "10.77.0.10"\n'
        )
        yield str(path)


@pytest.fixture
def asked() -> list[Request]:
    """What the daemon was asked."""
    return []


@pytest.fixture
def daemon(config: str, asked: list[Request]) -> Iterator[str]:
    """A control server in a thread of its own, in place of a whole daemon; gives the configuration that leads to it."""

    async def ps(request: Request) -> Any:
        return ROWS

    async def trace(request: Request) -> Any:
        return [TRACE] * request["last"] if request["service"] != "world" else []

    async def change(request: Request) -> None:
        asked.append(request)
        if request["service"] == "nobody":
            raise DomainError("there is no service nobody", hint="the services are: hello, world")

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = ControlServer(
        Path(config).parent / SOCKET_NAME, {"ps": ps, "trace": trace, "start": change, "stop": change}
    )
    asyncio.run_coroutine_threadsafe(server.start(), loop).result()
    yield config
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def trimmed(text: str) -> str:
    """Without the blanks with which a table fills its lines."""
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


class TestHelp:
    def test_it_lists_the_commands_and_the_exit_codes(self, jitsu: Jitsu) -> None:
        code, out, err = jitsu("--help")

        assert (code, err) == (0, "")
        listed = [line.split()[0] for line in out.partition("Commands:")[2].splitlines() if line.startswith("  ")]
        assert [name for name in listed if name in COMMANDS] == COMMANDS
        assert "7 no daemon or it refused" in " ".join(out.split())

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_explains_itself(self, jitsu: Jitsu, command: str) -> None:
        code, out, _ = jitsu(command, "--help")

        assert code == 0
        assert out.startswith(f"Usage: jitsu {command}")

    @pytest.mark.parametrize("command", [*(name for name in COMMANDS if name != "image"), "image build"])
    def test_every_command_has_an_example(self, jitsu: Jitsu, command: str) -> None:
        assert f"Example: jitsu {command}" in jitsu(*command.split(), "--help")[1]

    def test_it_says_its_version(self, jitsu: Jitsu) -> None:
        assert jitsu("--version") == (0, f"jitsu, version {__version__}\n", "")

    def test_help_is_fast_because_it_loads_next_to_nothing(self) -> None:
        program = (
            "import sys\nfrom jitsu.cli.main import main\n"
            "try:\n    main(['--help'])\nexcept SystemExit:\n    print(*sys.modules, file=sys.stderr)\n"
        )
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

        heavy = {"rich", "pyroute2", "dnslib", "asyncio", "libvirt", "jitsu.config", "jitsu.daemon", "jitsu.demo"}
        assert "jitsu.cli.main" in run.stderr.split()
        assert heavy & set(run.stderr.split()) == set()

    def test_ps_loads_neither_netlink_nor_dns(self) -> None:
        program = "import sys\nimport jitsu.cli.ps\nprint(*sys.modules)\n"
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

        assert {"pyroute2", "dnslib", "libvirt"} & set(run.stdout.split()) == set()


class TestErrors:
    def test_a_configuration_that_is_not_there_is_two_lines_and_code_3(self, jitsu: Jitsu, tmp_path: Path) -> None:
        missing = tmp_path / "jitsu.toml"

        assert jitsu("ps", "-c", str(missing)) == (
            3,
            "",
            f"error: there is no configuration file {missing}\n hint: name one with: -c jitsu.toml\n",
        )

    def test_the_configuration_can_be_named_in_the_environment(
        self, jitsu: Jitsu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("JITSU_CONFIG", str(tmp_path / "other.toml"))

        assert "other.toml" in jitsu("ps")[2]

    @pytest.mark.parametrize("option", [["-o", "json"], ["-ojson"], ["--output", "json"], ["--output=json"]])
    def test_programs_get_one_json_object_on_stderr(self, jitsu: Jitsu, config: str, option: list[str]) -> None:
        code, out, err = jitsu("ps", "-c", config, *option)

        assert (code, out) == (7, "")
        assert json.loads(err) == {
            "error": "DaemonError",
            "message": f"no jitsu serve listens on {Path(config).parent}/control.sock",
            "hint": "start it with: jitsu serve -c jitsu.toml",
            "exit_code": 7,
        }

    def test_the_traceback_is_shown_to_who_asks_for_it(self, jitsu: Jitsu, config: str) -> None:
        _, _, without = jitsu("ps", "-c", config)
        code, _, err = jitsu("--debug", "ps", "-c", config)

        assert "Traceback" not in without
        assert code == 7
        assert err.startswith("Traceback (most recent call last):")
        assert "client.py" in err
        assert err.endswith(without)

    def test_wrong_usage_is_code_2(self, jitsu: Jitsu) -> None:
        code, out, err = jitsu("dance")

        assert (code, out) == (2, "")
        assert "No such command 'dance'" in err

    def test_an_interrupt_is_code_130(self, jitsu: Jitsu, config: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(*arguments: object, **fields: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("jitsu.cli.ps.ask", interrupted)

        code, _, err = jitsu("ps", "-c", config)
        assert (code, err.strip()) == (130, "interrupted")

    def test_the_module_can_be_run_and_a_pipe_gets_no_colour(self, config: str) -> None:
        run = subprocess.run(
            [sys.executable, "-m", "jitsu.cli.main", "ps", "-c", config], capture_output=True, text=True, check=False
        )

        assert run.returncode == 7
        assert run.stderr.splitlines()[0].startswith("error: no jitsu serve listens on ")
        assert len(run.stderr.splitlines()) == 2

    def test_serve_without_root_says_what_needs_none(
        self, jitsu: Jitsu, config: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("jitsu.daemon.serve.missing_capabilities", lambda: ["CAP_NET_ADMIN"])
        monkeypatch.setattr("jitsu.daemon.serve.Daemon", lambda config: pytest.fail("it must not begin"))
        monkeypatch.setattr(logging, "basicConfig", lambda **settings: None)
        monkeypatch.setattr(logging.getLogger("asyncio"), "level", logging.WARNING)

        code, _, err = jitsu("serve", "-c", config)
        assert code == 4
        assert "CAP_NET_ADMIN is missing" in err
        assert "jitsu demo" in err


class TestPs:
    def test_people_get_a_table(self, jitsu: Jitsu, daemon: str) -> None:
        code, out, err = jitsu("ps", "-c", daemon)

        assert (code, err) == (0, "")
        expect_golden("cli/ps.txt", trimmed(out))

    def test_programs_get_everything(self, jitsu: Jitsu, daemon: str) -> None:
        code, out, _ = jitsu("ps", "-c", daemon, "-o", "json")

        assert code == 0
        assert json.loads(out) == ROWS

    @pytest.mark.parametrize(
        "last", ["not ready within 15 s ([limits] boot)", "the guest said [/bold] and [link=x]", "[red]", "\\[x]"]
    )
    def test_a_reason_is_shown_as_it_is(
        self, jitsu: Jitsu, daemon: str, monkeypatch: pytest.MonkeyPatch, last: str
    ) -> None:
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setitem(ROWS[0], "last", last)

        code, out, _ = jitsu("ps", "-c", daemon)
        assert code == 0
        assert last in out

    @pytest.mark.parametrize(
        ("up", "shown"), [(0.4, "0 s"), (119.4, "119 s"), (120.0, "2 min"), (7199.0, "120 min"), (9000.0, "2.5 h")]
    )
    def test_a_duration_is_shown_as_roughly_as_anybody_wants_it(
        self,
        jitsu: Jitsu,
        daemon: str,
        monkeypatch: pytest.MonkeyPatch,
        up: float,
        shown: str,
    ) -> None:
        monkeypatch.setitem(ROWS[0], "up", up)

        assert f" {shown} " in jitsu("ps", "-c", daemon)[1]


class TestTrace:
    def test_people_get_a_waterfall_without_colour(self, jitsu: Jitsu, daemon: str) -> None:
        code, out, _ = jitsu("trace", "hello", "-c", daemon)

        assert code == 0
        assert "\x1b" not in out
        expect_golden("cli/trace.txt", trimmed(out))

    def test_on_a_terminal_it_has_colours(self) -> None:
        terminal = Console(force_terminal=True, width=100, color_system="standard")
        with terminal.capture() as printed:
            terminal.print(waterfall(TRACE))

        assert "\x1b[36m━" in printed.get()

    def test_an_outcome_is_shown_as_it_is(self) -> None:
        plain = Console(width=100)
        with plain.capture() as printed:
            plain.print(waterfall({**TRACE, "outcome": "not ready within 15 s ([limits] boot) [/x]"}))

        assert "not ready within 15 s ([limits] boot) [/x]" in printed.get()

    def test_a_trace_of_nothing_can_be_drawn(self) -> None:
        plain = Console(width=100)
        with plain.capture() as printed:
            plain.print(waterfall({**TRACE, "spans": [], "notes": [], "total_ms": 0.0, "outcome": "running"}))

        assert "by syn: running, 0.0 ms" in printed.get()

    def test_programs_get_all_figures(self, jitsu: Jitsu, daemon: str) -> None:
        _, out, _ = jitsu("trace", "-c", daemon, "--last", "2", "-o", "json")

        assert json.loads(out) == [TRACE, TRACE]

    def test_that_there_is_none_is_said(self, jitsu: Jitsu, daemon: str) -> None:
        assert jitsu("trace", "world", "-c", daemon) == (0, "nobody was summoned yet\n", "")


class TestStartAndStop:
    @pytest.mark.parametrize(("order", "state"), [("start", "serving"), ("stop", "asleep")])
    def test_each_service_is_named_when_it_is_done(
        self, jitsu: Jitsu, daemon: str, asked: list[Request], order: str, state: str
    ) -> None:
        assert jitsu(order, "-c", daemon, "hello", "world") == (0, f"hello: {state}\nworld: {state}\n", "")
        assert asked == [{"do": order, "service": "hello"}, {"do": order, "service": "world"}]

    @pytest.mark.parametrize(("order", "state"), [("start", "serving"), ("stop", "asleep")])
    def test_programs_get_one_list(self, jitsu: Jitsu, daemon: str, order: str, state: str) -> None:
        _, out, _ = jitsu(order, "-c", daemon, "hello", "-o", "json")

        assert json.loads(out) == [{"service": "hello", "state": state}]

    def test_a_refusal_has_the_exit_code_of_its_kind(self, jitsu: Jitsu, daemon: str) -> None:
        code, out, err = jitsu("start", "-c", daemon, "nobody", "hello")

        assert (code, out) == (6, "")
        assert err == "error: there is no service nobody\n hint: the services are: hello, world\n"

    def test_to_start_nothing_is_wrong_usage(self, jitsu: Jitsu, config: str) -> None:
        assert jitsu("start", "-c", config)[0] == 2


class TestLogs:
    def test_what_a_guest_printed_is_shown(self, jitsu: Jitsu, config: str) -> None:
        folder = Path(config).parent / "console"
        folder.mkdir()
        (folder / "hello.log").write_text("".join(f"line {number}\n" for number in range(9)))

        assert jitsu("logs", "hello", "-c", config, "--tail", "2")[:2] == (0, "line 7\nline 8\n")
        assert json.loads(jitsu("logs", "hello", "-c", config, "-o", "json", "--tail", "1")[1]) == ["line 8"]

    def test_a_service_that_is_not_there_is_said_not_to_be(self, jitsu: Jitsu, config: str) -> None:
        code, _, err = jitsu("logs", "nobody", "-c", config)

        assert code == 3
        assert "hint: the services are: hello" in err


class TestImage:
    @pytest.fixture(autouse=True)
    def recipe(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = tmp_path / "images" / "hello"
        folder.mkdir(parents=True)
        (folder / "recipe.toml").write_text('description = "says hello"\noutputs = ["hello.elf"]\n')
        (folder / "build").write_text('#!/bin/sh\n[ -z "$BROKEN" ] && touch "$OUT/hello.elf"\n')
        (folder / "build").chmod(0o755)
        monkeypatch.setattr(artifacts, "RECIPES", tmp_path / "images")
        monkeypatch.setenv("JITSU_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("BROKEN", raising=False)

    def test_recipes_are_listed(self, jitsu: Jitsu) -> None:
        assert jitsu("image", "list")[1] == "hello          says hello\n"
        assert json.loads(jitsu("image", "list", "-o", "json")[1]) == [{"name": "hello", "description": "says hello"}]

    def test_the_folder_is_printed_and_progress_is_not_in_its_way(self, jitsu: Jitsu) -> None:
        code, out, err = jitsu("image", "build", "hello")

        assert code == 0
        assert (Path(out.strip()) / "hello.elf").exists()
        assert err == "building hello: says hello\n"

    def test_a_build_that_fails_is_code_8(self, jitsu: Jitsu, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BROKEN", "yes")

        code, out, err = jitsu("image", "build", "hello")
        assert (code, out) == (8, "")
        assert "error: recipe hello failed: it printed nothing" in err
