/* PVH entry: 32-bit protected mode, paging off, flat segments, interrupts off,
 * %ebx = physical address of struct hvm_start_info (Xen's docs/misc/pvh.pandoc).
 * From here to 64-bit C in as few instructions as there can be: the page tables
 * are data of the image, and .bss was zeroed by whoever loaded the ELF. */

#define CR0_PE 0x00000001
#define CR0_MP 0x00000002
#define CR0_NE 0x00000020
#define CR0_WP 0x00010000
#define CR0_PG 0x80000000
#define CR4_PAE 0x20
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100

#define PAGE_TABLE 0x003  /* present, writable */
#define PAGE_RAM 0x083    /* present, writable, 2 MiB */
#define PAGE_DEVICE 0x09b /* the same, write-through, cache disabled */

#define XEN_ELFNOTE_PHYS32_ENTRY 18

#define STACK_SIZE 32768

    /* The note by which a loader knows a PVH kernel and its entry point
     * (xen/include/public/elfnote.h).  QEMU reads eight bytes from a 64-bit
     * ELF; Xen takes four or eight. */
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 8, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_entry

    .section .text.boot, "ax"
    .code32
    .globl pvh_entry
pvh_entry:
    rdtsc
    movl %eax, clock_entry_ticks
    movl %edx, clock_entry_ticks + 4
    movl $page_map, %eax
    movl %eax, %cr3
    movl $CR4_PAE, %eax
    movl %eax, %cr4
    movl $MSR_EFER, %ecx
    movl $EFER_LME, %eax
    xorl %edx, %edx
    wrmsr
    movl $(CR0_PG | CR0_WP | CR0_NE | CR0_MP | CR0_PE), %eax
    movl %eax, %cr0
    lgdt gdt_pointer
    ljmp $8, $long_mode

    .code64
long_mode:
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $stack_top, %esp
    movl %ebx, %edi
    xorl %ebp, %ebp
    call pvh_start

    .section .rodata.boot, "a"
    .balign 8
gdt:
    .quad 0
    .quad 0x00af9b000000ffff /* 8: 64-bit code */
    .quad 0x00cf93000000ffff /* 16: data */
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long gdt

    /* Identity map of the first GiB (RAM) and of the fourth (device windows
     * and the APICs), in 2 MiB pages. */
    .data
    .globl page_directory_devices
    .balign 4096
page_map:
    .quad page_directory_pointers + PAGE_TABLE
    .fill 511, 8, 0
page_directory_pointers:
    .quad page_directory_ram + PAGE_TABLE
    .quad 0, 0
    .quad page_directory_devices + PAGE_TABLE
    .fill 508, 8, 0
page_directory_ram:
    .set page, 0
    .rept 512
    .quad page + PAGE_RAM
    .set page, page + 0x200000
    .endr
page_directory_devices:
    .rept 512
    .quad page + 0x80000000 + PAGE_DEVICE
    .set page, page + 0x200000
    .endr

    .section .noinit.stack, "aw", @nobits
    .balign 16
    .skip STACK_SIZE
stack_top:

    .section .note.GNU-stack, "", @progbits
