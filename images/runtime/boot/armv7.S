/* The zImage protocol (Linux, Documentation/arm/booting.rst): entered at the first byte of the
 * image, wherever that was put, in supervisor mode with interrupts, MMU and data cache off,
 * r2 = address of the device tree.  The image is linked at 0 and moves itself: Xen puts it
 * 32 KiB above the beginning of RAM, QEMU 64 KiB.  The page table is data of the image, so
 * nothing is written before the caches are on. */

#define ZIMAGE_MAGIC 0x016f2818
#define ZIMAGE_LITTLE_ENDIAN 0x04030201

#define TABLE_WALKS 0x4a /* TTBR0: the table is shared memory, cached, write-back, write-allocate */
#define DOMAIN_CLIENT 1
#define SCTLR_SET 0x1805   /* instruction cache, branch prediction, data cache, MMU */
#define SCTLR_CLEAR 0x30182002 /* AFE, TRE, UWXN, WXN, V, A: exceptions where VBAR says, no alignment checks */

#define SECTION_RAM 0x11c0e    /* 1 MiB: shared memory, cached, write-back, write-allocate; for the kernel's use */
#define SECTION_DEVICE 0x00c16 /* 1 MiB: a device; no code */

#define R_ARM_RELATIVE 23
#define STACK_SIZE 32768

    .arch armv7-a
    .arch_extension virt
    .section .text.boot, "ax"
    .arm
    .globl image_entry
image_entry:
    .rept 8
    nop
    .endr
    b start
    .word ZIMAGE_MAGIC
    .word 0 /* anywhere */
    .word image_file_end
    .word ZIMAGE_LITTLE_ENDIAN

start:
    cpsid if
    mov r8, r2
    mrrc p15, 1, r6, r7, c14 /* the virtual counter */
    adr r9, image_entry      /* where the image is */

    ldr r0, offset_of_page_table
    add r0, r0, r9
    orr r0, r0, #TABLE_WALKS
    mcr p15, 0, r0, c2, c0, 0 /* TTBR0 */
    mov r0, #0
    mcr p15, 0, r0, c2, c0, 2 /* TTBCR: short descriptors */
    mov r1, #DOMAIN_CLIENT
    mcr p15, 0, r1, c3, c0, 0 /* DACR */
    mcr p15, 0, r0, c8, c7, 0 /* forget translations, */
    mcr p15, 0, r0, c7, c5, 0 /* instructions, */
    mcr p15, 0, r0, c7, c5, 6 /* and branches */
    dsb
    isb
    mrc p15, 0, r0, c1, c0, 0
    ldr r1, =SCTLR_CLEAR
    bic r0, r0, r1
    ldr r1, =SCTLR_SET
    orr r0, r0, r1
    mcr p15, 0, r0, c1, c0, 0
    isb

    /* Addresses in the image's data count from 0. */
    ldr r0, offset_of_relocations
    add r0, r0, r9
    ldr r1, offset_of_relocations_end
    add r1, r1, r9
1:  cmp r0, r1
    bhs 2f
    ldmia r0!, {r2, r3}
    cmp r3, #R_ARM_RELATIVE
    bne 1b
    ldr r3, [r2, r9]
    add r3, r3, r9
    str r3, [r2, r9]
    b 1b

2:  ldr r0, offset_of_bss_start
    add r0, r0, r9
    ldr r1, offset_of_bss_end
    add r1, r1, r9
    mov r2, #0
3:  cmp r0, r1
    strlo r2, [r0], #4
    blo 3b

    ldr r0, offset_of_exception_vectors
    add r0, r0, r9
    mcr p15, 0, r0, c12, c0, 0 /* VBAR */
    ldr r0, offset_of_stack_top
    add sp, r0, r9
    mov r0, r8
    mov r2, r6
    mov r3, r7
    bl arm_start
    .ltorg

    /* Counted from here, where the linker's addresses count from. */
    .macro offset of
offset_of_\of:
    .word \of - image_entry
    .endm
    offset page_table
    offset relocations
    offset relocations_end
    offset bss_start
    offset bss_end
    offset exception_vectors
    offset stack_top

    /* Addresses are what they are physically.  RAM begins at 1 GiB, with Xen as on QEMU's
     * machine; Xen's rings lie in two of the MiB below, where QEMU's has nothing of use. */
    .data
    .balign 16384
page_table:
    .set section, 0
    .rept 4096
    .if section >= 0x400 || (section >= 0x380 && section < 0x3a0)
    .word (section << 20) + SECTION_RAM
    .else
    .word (section << 20) + SECTION_DEVICE
    .endif
    .set section, section + 1
    .endr

    .section .noinit.stack, "aw", %nobits
    .balign 16
    .skip STACK_SIZE
stack_top:

    .section .note.GNU-stack, "", %progbits
