#ifndef ISN_H
#define ISN_H

/* Takes the key of the initial sequence numbers from the random generator. */
void isn_init(void);

#endif
