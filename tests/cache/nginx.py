"""nginx with the same content as the cache, set up as the suite expects a cache to be."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.cache.case import Profile
from tests.cache.content import DEFAULT, HOSTS, ITEMS, LINKS, path_of, types, write_folder
from tests.cache.wire import Address
from tests.peers.nginx import configured, free_addresses

_CONFIGURATION = """
    types {{ {types} }}
    etag on;
    if_modified_since before;
    keepalive_requests 100000;
    large_client_header_buffers 4 16k;
    map_hash_bucket_size 256;
    map $host $default_of_host {{ default /{default}; {defaults} }}
    map $args $by_query {{ default /none; "" $default_of_host; {digests} }}
    map "$request_method $status" $allow {{ default ""; "~( 405|OPTIONS 204)$" "GET, HEAD, OPTIONS"; }}
    map $status $retry {{ default ""; 503 1; }}
    limit_conn_zone $server_port zone=few:1m;
    {servers}
"""

_SERVER = """
    server {{
        listen {listen};
        {more}
        root {root};
        add_header Allow $allow always;
        add_header Retry-After $retry always;
        if ($request_method = OPTIONS) {{ return 204; }}
        if ($request_method !~ "^(GET|HEAD)$") {{ return 405; }}
        location = / {{ try_files $by_query =404; }}
        location / {{ try_files /$host$uri $uri =404; }}
        {links}
    }}
"""

_MORE = {
    Profile.USUAL: ("", ""),
    Profile.IMPATIENT: (
        "",
        "client_header_timeout 1s; client_body_timeout 1s; send_timeout 1s; keepalive_timeout 1s; "
        "lingering_timeout 1s;",
    ),
    Profile.SMALL: ("", "limit_conn few 4;"),
    Profile.PROXIED: (" proxy_protocol", ""),
}


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[dict[Profile, Address]]:
    """Runs for as long as the block lasts; gives an address for each profile."""
    root = folder / "root"
    write_folder(root)
    addresses = dict(zip(Profile, free_addresses(len(Profile)), strict=True))
    with configured(_configuration(root, addresses), folder, list(addresses.values())):
        yield addresses


def _configuration(root: Path, addresses: dict[Profile, Address]) -> str:
    links = " ".join(f'location = /{name} {{ return 307 "{url}"; }}' for name, url in LINKS.items())
    servers = []
    for profile, (host, port) in addresses.items():
        listen, more = _MORE[profile]
        servers.append(_SERVER.format(listen=f"{host}:{port}{listen}", more=more, root=root, links=links))
    return _CONFIGURATION.format(
        types=" ".join(f"{mime} {extension};" for mime, extension in types()),
        default=DEFAULT,
        defaults=" ".join(f'{host} "/{path_of(f"{host}/")}";' for host in HOSTS if f"{host}/" in ITEMS),
        digests=" ".join(f'"~*^{item.digest}$" "/{path_of(name)}";' for name, item in ITEMS.items()),
        servers="".join(servers),
    )
