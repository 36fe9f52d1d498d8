"""Parts of a configuration: [daemon] alone, single services, and what they must not share."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from jitsu.config import Claims, Config, define, load, load_daemon
from jitsu.errors import ConfigError

HERE = Path("command line")
DAEMON = '[daemon]\ninstance = "edge"\nruntime = "/run/edge-x"\n'
WWW = '[service.www]\nkernel = "k"\naddress = "10.77.0.10"\n'


def written(folder: Path, text: str) -> Path:
    (folder / "jitsu.toml").write_text(text)
    return folder / "jitsu.toml"


class TestDaemonAlone:
    @pytest.mark.parametrize(
        "text",
        [
            DAEMON + WWW,
            WWW + DAEMON,
            WWW + DAEMON + WWW.replace("www", "api").replace(".10", ".11"),
            f"{WWW}txt = [\n  'a',\n]\n[ service . 'api' ]\nkernel = 'k'\naddress = '10.77.0.11' # [x]\n{DAEMON}",
            f'[service.www]\nkernel = """k\n[daemon]\nruntime = "/evil"\n"""\naddress = "10.77.0.10"\n{DAEMON}',
            f"[service.www]\nkernel = '''k\n[daemon]\nruntime = \"/evil\"\n# '''\naddress = \"10.77.0.10\"\n{DAEMON}",
            DAEMON + '[service]\nwww = { kernel = "k", address = "10.77.0.10" }\n',
            DAEMON + "[dns]\nttl = 5\n" + WWW.rstrip(),
        ],
    )
    def test_it_is_what_the_whole_file_says(self, tmp_path: Path, text: str) -> None:
        path = written(tmp_path, text)
        assert load_daemon(path) == load(path).daemon

    @pytest.mark.parametrize(
        "text", [DAEMON + "instance = 3\n", "[daemon]\nruntimme = 'x'\n", "[daemno]\n", WWW + "[dns\n", "x = \n"]
    )
    def test_what_is_wrong_is_said_as_of_the_whole_file(self, tmp_path: Path, text: str) -> None:
        path = written(tmp_path, text)
        with pytest.raises(ConfigError) as whole:
            load(path)
        with pytest.raises(ConfigError) as part:
            load_daemon(path)
        assert (part.value.message, part.value.hint) == (whole.value.message, whole.value.hint)

    def test_a_file_that_is_missing_is_said_to_be(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="there is no configuration file"):
            load_daemon(tmp_path / "jitsu.toml")

    def test_ten_thousand_services_cost_a_fraction_of_reading_them(self, tmp_path: Path) -> None:
        sections = "".join(
            f'[service.s{n}]\nkernel = "k"\naddress = "10.77.{n // 200}.{n % 200 + 10}"\nmemory = "8 MiB"\n'
            for n in range(10_000)
        )
        path = written(tmp_path, f'{DAEMON}[network]\naddress = "10.77.0.1/16"\n{sections}')
        begun = time.process_time()
        load_daemon(path)
        part = time.process_time() - begun
        begun = time.process_time()
        load(path)
        assert part * 5 < time.process_time() - begun


class TestOneService:
    @pytest.fixture
    def config(self, tmp_path: Path) -> Config:
        return load(written(tmp_path, f"[dns]\nttl = 7\n{DAEMON}{WWW}"))

    def test_it_is_what_it_would_be_in_the_file(self, tmp_path: Path, config: Config) -> None:
        keys = {"kernel": "/k", "address": "10.77.0.20", "names": ["a", "@"], "memory": "64 MiB"}
        alone = define("shop", keys, config, HERE)
        toml = '[service.shop]\nkernel = "/k"\naddress = "10.77.0.20"\nnames = ["a", "@"]\nmemory = "64 MiB"\n'
        assert alone == load(written(tmp_path, f"[dns]\nttl = 7\n{DAEMON}{toml}")).services["shop"]
        assert alone.ttl == 7

    @pytest.mark.parametrize("name", ["Shop", "a.b", "", "x" * 64, "-a"])
    def test_a_name_that_cannot_be_is_refused(self, config: Config, name: str) -> None:
        with pytest.raises(ConfigError, match="has a name that cannot be"):
            define(name, {"kernel": "/k", "address": "10.77.0.20"}, config, HERE)

    def test_claims_come_and_go_whole(self, config: Config) -> None:
        claims = Claims(config.network, config.dns)
        www = config.services["www"]
        claims.add(www, HERE)
        keys = {"kernel": "/k", "address": "10.77.0.20", "names": ["a", "b", "www"]}
        with pytest.raises(ConfigError) as raised:
            claims.add(define("shop", keys, config, HERE), HERE)
        assert raised.value.message == "command line: [service.shop] has the same name www as [service.www]"
        claims.add(define("shop", {**keys, "names": ["a", "b"]}, config, HERE), HERE)
        claims.remove(www)
        claims.add(www, HERE)
        twice = define("twice", {**keys, "address": "10.77.0.21", "names": ["c", "c"]}, config, HERE)
        with pytest.raises(ConfigError, match=r"has the same name c as \[service.twice\]"):
            claims.add(twice, HERE)
        claims.add(replace(twice, names=("c",)), HERE)

    def test_a_file_without_services_is_one_to_which_they_will_be_added(self, tmp_path: Path) -> None:
        assert load(written(tmp_path, "")).services == {}
