"""nginx on a private port, serving a folder."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")

CONFIGURATION = """
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
    types {{ text/html html; text/plain txt; }}
    server {{ listen 127.0.0.1:{port}; root {root}; index index.html; }}
}}
"""


@contextlib.contextmanager
def nginx(root: Path, folder: Path) -> Iterator[int]:
    """Runs for as long as the block lasts; gives the port. `folder` is for what nginx writes."""
    assert NGINX is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, root=root, port=port), encoding="ascii")
    with subprocess.Popen(
        [NGINX, "-p", str(folder), "-c", str(configuration), "-e", str(folder / "error.log")], stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait(process, port, folder)
            yield port
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    for _ in range(300):
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return
        assert process.poll() is None, (folder / "error.log").read_text()
        time.sleep(0.1)
    raise AssertionError("nginx does not listen")
