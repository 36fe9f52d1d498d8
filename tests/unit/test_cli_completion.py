"""What the shell is told when somebody presses Tab."""

import subprocess
import sys

import pytest

from tests.unit.command_line import Jitsu


def completed(monkeypatch: pytest.MonkeyPatch, jitsu: Jitsu, words: str) -> list[str]:
    """What click says to bash for these words, of which the last is being typed."""
    monkeypatch.setenv("_JITSU_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    return [line.partition(",")[2] for line in jitsu()[1].splitlines() if line]


@pytest.mark.parametrize("command", ["start", "stop", "logs", "trace"])
def test_services_of_the_configuration(
    jitsu: Jitsu, config: str, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    assert completed(monkeypatch, jitsu, f"jitsu {command} -c {config} h") == ["hello"]
    assert completed(monkeypatch, jitsu, f"jitsu {command} -c {config} x") == []
    monkeypatch.setenv("JITSU_CONFIG", config)
    assert completed(monkeypatch, jitsu, f"jitsu {command} ") == ["hello"]


def test_a_configuration_that_cannot_be_read_completes_nothing(jitsu: Jitsu, monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed(monkeypatch, jitsu, "jitsu start -c /nowhere/jitsu.toml ") == []


def test_commands_options_and_recipes(jitsu: Jitsu, monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed(monkeypatch, jitsu, "jitsu st") == ["start", "stop"]
    assert completed(monkeypatch, jitsu, "jitsu --de") == ["--debug"]
    assert completed(monkeypatch, jitsu, "jitsu logs --f") == ["--follow"]
    assert "hello" in completed(monkeypatch, jitsu, "jitsu image inspect h")


def test_commands_are_completed_without_loading_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_JITSU_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "jitsu ")
    monkeypatch.setenv("COMP_CWORD", "1")
    program = (
        "import sys\nfrom jitsu.cli.main import main\n"
        "try:\n    main([])\nexcept SystemExit:\n    print(*sys.modules, file=sys.stderr)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "plain,trace" in run.stdout.splitlines()
    assert {"jitsu.cli.trace", "jitsu.config", "asyncio"} & set(run.stderr.split()) == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed(jitsu: Jitsu, shell: str) -> None:
    code, out, err = jitsu("completion", shell)

    assert (code, err) == (0, "")
    assert f"_JITSU_COMPLETE={shell}_complete" in out


def test_bash_takes_the_script(jitsu: Jitsu) -> None:
    script = jitsu("completion", "bash")[1] + "\ncomplete -p jitsu\n"

    run = subprocess.run(["bash", "--norc"], input=script, capture_output=True, text=True, check=True)
    assert run.stdout.strip().endswith("jitsu")
    assert run.stderr == ""
