/* Entry points of exceptions and interrupts: each pushes its number and joins
 * the common path, which calls interrupt_dispatch(struct interrupt_frame *). */
#include "vectors.h"

    .text
    .balign VECTOR_STUB_SIZE
    .globl interrupt_stubs
interrupt_stubs:
    .set vector, 0
    .rept VECTOR_COUNT
    .balign VECTOR_STUB_SIZE
    /* Exceptions 8, 10-14, 17, 21, 29 and 30 come with an error code. */
    .if (vector >= 32) || ((0x60227d00 >> (vector & 31)) & 1) == 0
    pushq $0
    .endif
    pushq $vector
    jmp interrupt_common
    .set vector, vector + 1
    .endr

interrupt_common:
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    movq %rsp, %rdi
    cld
    call interrupt_dispatch
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rax
    addq $16, %rsp
    iretq

    /* A spurious interrupt must not be acknowledged (SDM volume 3, 11.9). */
    .globl interrupt_spurious
interrupt_spurious:
    iretq

    .section .note.GNU-stack, "", @progbits
