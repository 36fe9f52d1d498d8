#ifndef XEN_DOMAIN_H
#define XEN_DOMAIN_H

#include "platform.h"

extern const struct platform xen_domain;

#endif
