/* Exceptions: none is expected, and each says where it came from.  Interrupts stay masked. */
    .text
    .balign 2048
    .globl exception_vectors
exception_vectors:
    .set number, 0
    .rept 16
    .balign 128
    mov x0, #number
    mrs x1, elr_el1
    mrs x2, esr_el1
    mrs x3, far_el1
    b exception_report
    .set number, number + 1
    .endr

    .section .note.GNU-stack, "", %progbits
