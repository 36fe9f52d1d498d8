/* Division of 64-bit numbers, as the ABI of ARM names it for the compiler (Run-time ABI for the
 * Arm Architecture, 4.3.1): r1:r0 by r3:r2; the quotient in r1:r0, the rest in r3:r2. */
    .arch armv7-a
    .arch_extension idiv
    .text
    .arm
    .globl __aeabi_uldivmod
__aeabi_uldivmod:
    push {r4, r5, r6, r7, r8, lr}
    orrs r4, r1, r3
    bne 1f
    /* Both fit into 32 bits. */
    udiv r4, r0, r2
    mls r2, r4, r2, r0
    mov r0, r4
    pop {r4, r5, r6, r7, r8, pc}

    /* Bit by bit: the rest is in r5:r4, the quotient comes in from below as the dividend goes. */
1:  mov r4, #0
    mov r5, #0
    mov r6, #64
2:  adds r0, r0, r0
    adcs r1, r1, r1
    adcs r4, r4, r4
    adcs r5, r5, r5
    bcs 3f
    subs r7, r4, r2
    sbcs r8, r5, r3
    blo 4f
    b 5f
3:  subs r7, r4, r2
    sbc r8, r5, r3
5:  mov r4, r7
    mov r5, r8
    orr r0, r0, #1
4:  subs r6, r6, #1
    bne 2b
    mov r2, r4
    mov r3, r5
    pop {r4, r5, r6, r7, r8, pc}

    .section .note.GNU-stack, "", %progbits
