"""The command line: what is printed for people and for programs, on which stream, and with which exit code."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from jitsu import __version__
from jitsu.daemon.control import Request
from tests.unit.command_line import Jitsu

COMMANDS = ["completion", "config", "demo", "doctor", "image", "logs", "ps", "serve", "start", "stop", "trace"]
GROUPS = {"config", "image"}


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

    @pytest.mark.parametrize(
        "command",
        [
            *(name for name in COMMANDS if name not in GROUPS),
            "image build",
            "image inspect",
            "config check",
            "config show",
        ],
    )
    def test_every_command_has_an_example(self, jitsu: Jitsu, command: str) -> None:
        assert f"Example: jitsu {command}" in jitsu(*command.split(), "--help")[1]

    def test_it_says_its_version(self, jitsu: Jitsu) -> None:
        assert jitsu("--version") == (0, f"jitsu, version {__version__}\n", "")


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
