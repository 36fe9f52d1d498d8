"""`make bench`: every measurement, or those named on the command line; `plots` (`make plots`) only if it is named."""

import sys

from jitsu.network.namespace import unshare_network
from tests.bench import cold, dns, plots, sleepers, through_libvirt, warm

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
        (plots.draw if name == "plots" else MEASUREMENTS[name])()


main()
