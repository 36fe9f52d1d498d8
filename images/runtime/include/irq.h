/* Interrupts.  All code runs with interrupts off; they are taken only inside
 * irq_wait(), so no data is shared with a handler in mid-change.  One file
 * under arch/ implements this interface. */
#ifndef IRQ_H
#define IRQ_H

typedef void (*irq_handler)(void *context);

void irq_init(void);

/* Routes a device's interrupt to a handler and unmasks it.  Lines are numbered as the
 * architecture's controllers do it.  The handler has to quieten the device: lines are level
 * triggered. */
void irq_attach(unsigned int line, irq_handler handler, void *context);

/* Sleeps until an interrupt has been handled.  One that was raised since the
 * caller last looked at the devices ends the sleep at once. */
void irq_wait(void);

#endif
