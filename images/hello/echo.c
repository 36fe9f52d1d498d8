#include "echo.h"

#include "lwip/udp.h"
#include "panic.h"

static void arrived(void *context, struct udp_pcb *pcb, struct pbuf *datagram, const ip_addr_t *from, u16_t port)
{
    (void)context;
    udp_sendto(pcb, datagram, from, port); /* one that cannot be sent is lost, as datagrams are */
    pbuf_free(datagram);
}

void echo_listen(uint16_t port)
{
    struct udp_pcb *pcb = udp_new_ip_type(IPADDR_TYPE_ANY);

    if (pcb == NULL || udp_bind(pcb, IP_ANY_TYPE, port) != ERR_OK)
        panic("UDP port %u cannot be had", (unsigned int)port);
    udp_recv(pcb, arrived, NULL);
}
