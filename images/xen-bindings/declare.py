"""Write the C source of the module jitsu_xen for one architecture: `declare.py VARIANT FILE`.

What is declared here is checked by the compiler against that release's headers; `...` leaves layouts to it.
"""

import sys
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).parent
PARTS = {"amd64": ["declarations.h", "declarations-x86.h"]}
ARM = ["declarations.h", "declarations-arm.h"]


def main(variant: str, file: str) -> None:
    ffi = FFI()
    for part in PARTS.get(variant, ARM):
        ffi.cdef((HERE / part).read_text())
    ffi.set_source("jitsu_xen", (HERE / "complaints.c").read_text())
    ffi.emit_c_code(file)


main(*sys.argv[1:])
