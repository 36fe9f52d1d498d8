#ifndef X86_64_H
#define X86_64_H

/* Looks where this image runs; before everything else. */
void platform_choose(void);

#endif
