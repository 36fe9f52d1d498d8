/* llhttp includes stdio.h for what it prints when it is debugged, which nobody calls here. */
#ifndef STDIO_H
#define STDIO_H

typedef struct file FILE;
extern FILE *stderr;

int fprintf(FILE *file, const char *format, ...);

#endif
