/* The end of the VM, with and without a reason. */
#ifndef PANIC_H
#define PANIC_H

/* Prints "panic: <message>" on the console and ends the VM. */
_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the VM without a word, as a crash would: the CPU cannot go on and the
 * monitor sees a guest reset.  One file under arch/ or platform/ implements it. */
_Noreturn void machine_die(void);

#endif
