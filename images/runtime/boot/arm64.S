/* The Image protocol (Linux, Documentation/arm64/booting.rst): entered at the first byte of the
 * image, at EL1 with interrupts, MMU and data cache off, x0 = address of the device tree.  RAM
 * begins at 1 GiB, with Xen as on QEMU's machine, and both put the image where it asks: it is
 * linked there.  The page tables are data of the image, so nothing is written before the
 * caches are on. */

#define TEXT_OFFSET 0x80000
#define FLAGS_4K_PAGES 2

#define MAIR 0xff00 /* 0: device, nGnRnE; 1: memory, cached, write-back, both allocate */
#define TCR 0x200803519 /* addresses of 39 bits, physical ones of 40; pages of 4 KiB; walks are cached; no upper half */
#define SCTLR_SET 0x1005   /* instruction cache, data cache, MMU */
#define SCTLR_CLEAR 0x8000a /* WXN, SA, A */

#define TABLE 3
#define BLOCK_RAM 0x705          /* access flag, inner shareable, attribute 1 */
#define BLOCK_DEVICE 0x60000000000401 /* the same, attribute 0, no code */

#define STACK_SIZE 32768

    .section .text.boot, "ax"
    .globl image_entry
image_entry:
    b start
    .word 0
    .quad TEXT_OFFSET
    .quad image_size
    .quad FLAGS_4K_PAGES
    .quad 0, 0, 0
    .ascii "ARM\x64"
    .word 0

start:
    msr daifset, #0xf
    mrs x19, cntvct_el0
    mov x20, x0
    ldr x0, =MAIR
    msr mair_el1, x0
    ldr x0, =TCR
    msr tcr_el1, x0
    ldr x0, =page_table
    msr ttbr0_el1, x0
    isb
    tlbi vmalle1
    ic iallu
    dsb sy
    isb
    mrs x0, sctlr_el1
    ldr x1, =SCTLR_CLEAR
    bic x0, x0, x1
    ldr x1, =SCTLR_SET
    orr x0, x0, x1
    msr sctlr_el1, x0
    isb

    ldr x0, =bss_start
    ldr x1, =bss_end
1:  cmp x0, x1
    b.hs 2f
    str xzr, [x0], #8
    b 1b

2:  ldr x0, =exception_vectors
    msr vbar_el1, x0
    ldr x0, =stack_top
    mov sp, x0
    mov x29, #0
    mov x30, #0
    mov x0, x20
    mov x1, x19
    bl arm_start
    .ltorg

    /* Addresses are what they are physically: a GiB of devices, in which Xen's rings lie where
     * QEMU's machine has nothing of use, and RAM. */
    .data
    .balign 4096
page_table:
    .quad page_table_devices + TABLE
    .set block, 1
    .rept 31
    .quad (block << 30) + BLOCK_RAM
    .set block, block + 1
    .endr
    .fill 480, 8, 0
page_table_devices:
    .set block, 0
    .rept 512
    .if block >= 0x1c0 && block < 0x1d0
    .quad (block << 21) + BLOCK_RAM
    .else
    .quad (block << 21) + BLOCK_DEVICE
    .endif
    .set block, block + 1
    .endr

    .section .noinit.stack, "aw", %nobits
    .balign 16
    .skip STACK_SIZE
stack_top:

    .section .note.GNU-stack, "", %progbits
