"""Metrics of a real daemon, fetched by curl, read by Prometheus' own parser."""

import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jitsu.demo.stage import Cast, Stage
from jitsu.domains.probe_guest import pvh_elf

pytestmark = pytest.mark.usefixtures("private_network")


def test_curl_and_prometheus_understand_them(tmp_path: Path) -> None:
    kernel = tmp_path / "guest.elf"
    kernel.write_bytes(pvh_elf(b"\xf4\xeb\xfd"))
    with Stage([Cast("www", kernel)], sections={"metrics": {"listen": "127.0.0.1:9100"}}) as stage:
        stage.ask("stop", service="www")
        fetched = subprocess.run(
            ["curl", "-sS", "-D", "-", "http://127.0.0.1:9100/metrics"], capture_output=True, text=True, check=True
        )
        head, _, body = fetched.stdout.replace("\r\n", "\n").partition("\n\n")
        assert head.startswith("HTTP/1.1 200 OK\n")
        assert "Content-Type: text/plain; version=0.0.4" in head
        families = {family.name: family for family in text_string_to_metric_families(body)}
        assert [(s.labels["state"], s.value) for s in families["jitsu_vms"].samples if s.value] == [("asleep", 1.0)]
        # The stage itself asked for the zone's SOA until it was heard.
        answered = {(s.labels["transport"], s.labels["rcode"]) for s in families["jitsu_dns_queries"].samples}
        assert ("udp", "NOERROR") in answered
        ordered = [s.value for s in families["jitsu_events"].samples if s.labels["event"] == "ordered"]
        assert ordered == [1.0]
