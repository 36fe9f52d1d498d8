/* TCP by sockets of Linux. */
#ifndef TCP_H
#define TCP_H

#include <stdbool.h>
#include <stddef.h>

/* Listens on ADDRESS:PORT, or [ADDRESS]:PORT of IPv6; clients are accepted from now on.  NULL, or what is wrong in
 * words. */
const char *tcp_listen(const char *where);

/* Where, as it is written above, with the port that was chosen for 0. */
void tcp_where(char *text, size_t room);

/* Tells of connections that broke in the middle of this turn, and frees those that are over. */
void tcp_settle(void);

void tcp_end(void);

#endif
