/* Exceptions, the local APIC and the I/O APICs. */
#include <stddef.h>
#include <stdint.h>

#include "cpu.h"
#include "irq.h"
#include "lapic.h"
#include "panic.h"
#include "timer.h"
#include "vectors.h"

/* I/O APIC (Intel 82093AA): an index register and a window on what it selects. */
#define IOAPIC_FIRST 0xfec00000UL
#define IOAPIC_SECOND 0xfec10000UL
#define IOAPIC_PINS 24
#define LINES (2 * IOAPIC_PINS)
#define IOAPIC_INDEX 0x00
#define IOAPIC_WINDOW 0x10
#define IOAPIC_REDIRECTION(pin) (0x10 + 2 * (pin))
#define IOAPIC_LEVEL 0x8000

#define CODE_SEGMENT 8
#define GATE_INTERRUPT 0x8e00 /* present, ring 0, 64-bit interrupt gate */
#define EXCEPTIONS 32

struct gate {
    uint16_t offset_low;
    uint16_t segment;
    uint16_t attributes;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
};

/* As vectors.S leaves it on the stack. */
struct interrupt_frame {
    uint64_t r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

struct __attribute__((packed)) table_pointer {
    uint16_t limit;
    uint64_t base;
};

extern const char interrupt_stubs[];
extern const char interrupt_spurious[];

void interrupt_dispatch(const struct interrupt_frame *frame);

static struct gate gates[256];

static struct {
    irq_handler handler;
    void *context;
} lines[LINES];

static void set_gate(unsigned int vector, const char *entry)
{
    const uintptr_t offset = (uintptr_t)entry;

    gates[vector] = (struct gate){
        .offset_low = (uint16_t)offset,
        .segment = CODE_SEGMENT,
        .attributes = GATE_INTERRUPT,
        .offset_middle = (uint16_t)(offset >> 16),
        .offset_high = (uint32_t)(offset >> 32),
    };
}

static void load_gates(uint16_t limit)
{
    const struct table_pointer pointer = {.limit = limit, .base = (uintptr_t)gates};

    __asm__ volatile("lidt %0" : : "m"(pointer));
}

void irq_init(void)
{
    for (unsigned int vector = 0; vector < VECTOR_COUNT; vector++)
        set_gate(vector, interrupt_stubs + vector * VECTOR_STUB_SIZE);
    set_gate(VECTOR_SPURIOUS, interrupt_spurious);
    load_gates(sizeof gates - 1);

    /* LINT0 carries the 8259's interrupts where there is one; none of them is
     * wanted, and masking it here spares programming the 8259. */
    lapic_write(LAPIC_LVT_LINT0, LAPIC_LVT_MASKED);
    lapic_write(LAPIC_SPURIOUS, LAPIC_ENABLE | VECTOR_SPURIOUS);
}

void irq_attach(unsigned int line, irq_handler handler, void *context)
{
    const uintptr_t ioapic = line < IOAPIC_PINS ? IOAPIC_FIRST : IOAPIC_SECOND;
    const unsigned int entry = IOAPIC_REDIRECTION(line % IOAPIC_PINS);

    lines[line].handler = handler;
    lines[line].context = context;
    mmio_write32(ioapic + IOAPIC_INDEX, entry + 1);
    mmio_write32(ioapic + IOAPIC_WINDOW, 0); /* to APIC 0, the boot CPU */
    mmio_write32(ioapic + IOAPIC_INDEX, entry);
    mmio_write32(ioapic + IOAPIC_WINDOW, IOAPIC_LEVEL | (VECTOR_LINES + line));
}

void interrupt_dispatch(const struct interrupt_frame *frame)
{
    if (frame->vector < EXCEPTIONS) {
        uint64_t fault_address;

        __asm__ volatile("movq %%cr2, %0" : "=r"(fault_address));
        panic("exception %lu, error %lx, at %lx, address %lx", frame->vector, frame->error, frame->rip,
              fault_address);
    }
    if (frame->vector == VECTOR_TIMER) {
        lapic_timer_rang();
    } else {
        const unsigned int line = (unsigned int)frame->vector - VECTOR_LINES;

        if (lines[line].handler != NULL)
            lines[line].handler(lines[line].context);
    }
    lapic_write(LAPIC_EOI, 0);
}

void cpu_shut_down(void)
{
    /* With no interrupt table an exception cannot be delivered, nor can the
     * double fault that follows: the CPU shuts down. */
    load_gates(0);
    for (;;)
        __asm__ volatile("ud2");
}
