"""`make bench`: every measurement, or those named on the command line."""

import sys

from jitsu.network.namespace import unshare_network
from tests.bench import cold, dns, sleepers, through_libvirt, warm

MEASUREMENTS = {
    "cold": cold.measure,
    "dns": dns.measure,
    "libvirt": through_libvirt.measure,
    "sleepers": sleepers.measure,
    "warm": warm.measure,
}


def main() -> None:
    unshare_network()
    for name in sys.argv[1:] or MEASUREMENTS:
        print(f"== {name}")
        MEASUREMENTS[name]()


main()
