/* hello: a small HTTP service that tells about itself. */
#include "connection.h"
#include "echo.h"
#include "pages.h"
#include "runtime.h"

#define HTTP_PORT 80
#define ECHO_PORT 7

void app_start(void)
{
    pages_init();
    connection_listen(HTTP_PORT);
    echo_listen(ECHO_PORT);
}
