/* Interrupt vectors, for C and assembler. */
#ifndef VECTORS_H
#define VECTORS_H

#define VECTOR_LINES 32  /* 32 + n: interrupt line n, n < 48 */
#define VECTOR_TIMER 80  /* local APIC timer */
#define VECTOR_COUNT 81
#define VECTOR_SPURIOUS 255

#define VECTOR_STUB_SIZE 16

#endif
