"""nginx on private ports."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")

Address = tuple[str, int]

_CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    default_type application/octet-stream;
    {http}
}}
"""

_FOLDER = """
    types {{ text/html html; text/plain txt; }}
    server {{ listen 127.0.0.1:{port}; root {root}; index index.html; }}
"""


@contextlib.contextmanager
def nginx(root: Path, folder: Path) -> Iterator[int]:
    """Serves the files in `root` for as long as the block lasts; gives the port. `folder` is for what nginx writes."""
    (address,) = free_addresses(1)
    with configured(_FOLDER.format(root=root, port=address[1]), folder, [address]):
        yield address[1]


@contextlib.contextmanager
def configured(http: str, folder: Path, addresses: Sequence[Address]) -> Iterator[None]:
    """Runs for as long as the block lasts, with this in its `http` block, which has it listen at these addresses."""
    assert NGINX is not None
    configuration, log = folder / "nginx.conf", folder / "error.log"
    configuration.write_text(_CONFIGURATION.format(folder=folder, http=http), encoding="utf-8")
    with subprocess.Popen(
        [NGINX, "-p", str(folder), "-c", str(configuration), "-e", str(log)], stderr=subprocess.DEVNULL
    ) as process:
        try:
            for address in addresses:
                _wait(process, address, log)
            yield
        finally:
            process.terminate()


def free_addresses(count: int) -> list[Address]:
    """So many on the loopback interface at which nobody listens."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [taken.getsockname() for taken in sockets]


def _wait(process: subprocess.Popen[bytes], address: Address, log: Path) -> None:
    for _ in range(300):
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(address):
            return
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError("nginx does not listen")
