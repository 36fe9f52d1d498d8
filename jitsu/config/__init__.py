"""jitsu.toml: read, checked, and turned into frozen dataclasses.

Every finding names the file, the key and the way out. Sizes are bytes, times are seconds.

    schema.py    what a configuration is
    table.py     one TOML table being read, key by key
    sections.py  [daemon], [libvirt], [xenstore], [network], [dns], [limits], [warm], [metrics]
    keys.py      the file of keys that [dns] names
    service.py   [service.NAME]
    restart.py   its restart policy
    hours.py     when it is kept running
    wake.py      what wakes it
    disks.py     its disks
    dependencies.py  which services it wants to serve before it
    claims.py    what services must not share
    reader.py    a whole file
"""

from jitsu.config.claims import Claims
from jitsu.config.disks import Disk
from jitsu.config.reader import DEFAULT_PATH, define, load, load_daemon, read_sections, settings
from jitsu.config.restart import Restart
from jitsu.config.schema import (
    Config,
    DaemonConfig,
    DnsConfig,
    Ipv6Config,
    KeyConfig,
    LibvirtConfig,
    LimitsConfig,
    MetricsConfig,
    NetworkConfig,
    ServiceConfig,
    WarmConfig,
    XenstoreConfig,
)
from jitsu.config.service import absolute
from jitsu.config.table import Setting

__all__ = [
    "DEFAULT_PATH",
    "Claims",
    "Config",
    "DaemonConfig",
    "Disk",
    "DnsConfig",
    "Ipv6Config",
    "KeyConfig",
    "LibvirtConfig",
    "LimitsConfig",
    "MetricsConfig",
    "NetworkConfig",
    "Restart",
    "ServiceConfig",
    "Setting",
    "WarmConfig",
    "XenstoreConfig",
    "absolute",
    "define",
    "load",
    "load_daemon",
    "read_sections",
    "settings",
]
