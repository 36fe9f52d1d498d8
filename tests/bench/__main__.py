"""`make bench`: every measurement, or those named on the command line.

`plots` (`make plots`), `xenstore` (`make bench-xenstore`), `shfs` (`make bench-shfs`), `imports` (`make
bench-imports`) and `xen` (`make bench-xen`) take long, and are run only if they are named; so is `xenstore-state`, a
part of `xenstore`.
"""

import sys

from jitsu.network.namespace import unshare_network
from tests.bench import (
    cold,
    dns,
    guests,
    imports,
    plots,
    shfs,
    sleepers,
    through_libvirt,
    warm,
    xen,
    xenstore,
    xenstore_state,
)

MEASUREMENTS = {
    "cold": cold.measure,
    "dns": dns.measure,
    "guests": guests.measure,
    "libvirt": through_libvirt.measure,
    "sleepers": sleepers.measure,
    "warm": warm.measure,
}
NAMED_ONLY = {
    "imports": imports.measure,
    "plots": plots.draw,
    "shfs": shfs.measure,
    "xen": xen.measure,
    "xenstore": xenstore.measure,
    "xenstore-state": xenstore_state.measure,
}


def main() -> None:
    unshare_network()
    for name in sys.argv[1:] or MEASUREMENTS:
        print(f"== {name}")
        (MEASUREMENTS | NAMED_ONLY)[name]()


main()
