/* Where large arrays go. */
#ifndef MEMORY_H
#define MEMORY_H

/* Memory that no loader clears and no image contains: it costs nothing until it
 * is used, and holds anything until it is written. */
#define NOINIT __attribute__((section(".noinit")))

#endif
