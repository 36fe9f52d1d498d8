/* Exceptions: none is expected, and each says where it came from.  Interrupts stay masked. */
    .arch armv7-a
    .text
    .arm
    .macro exception number, back
    sub lr, lr, #\back
    mov r1, lr
    mov r0, #\number
    b exception_common
    .endm

    .balign 32
    .globl exception_vectors
exception_vectors:
    b .
    b exception_undefined
    b exception_call
    b exception_prefetch
    b exception_data
    b .
    b .
    b .

exception_undefined:
    exception 1, 4
exception_call:
    exception 2, 4
exception_prefetch:
    exception 3, 4
exception_data:
    exception 4, 8

exception_common:
    cps #0x13 /* supervisor mode, which has a stack */
    mrc p15, 0, r2, c5, c0, 0 /* DFSR */
    mrc p15, 0, r3, c6, c0, 0 /* DFAR */
    b exception_report

    .section .note.GNU-stack, "", %progbits
