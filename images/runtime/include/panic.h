/* The end of the VM, with and without a reason. */
#ifndef PANIC_H
#define PANIC_H

/* Prints "panic: <message>" on the console and ends the VM. */
_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the VM without a word, as a crash would. */
_Noreturn void machine_die(void);

/* Ends the VM, whose work is done.  A machine with no power switch to turn off is reset. */
_Noreturn void machine_off(void);

#endif
