#include "response.h"

#include "format.h"

const char *response_status(unsigned int status)
{
    static const struct {
        unsigned int status;
        const char *text;
    } known[] = {
        {200, "200 OK"},
        {204, "204 No Content"},
        {400, "400 Bad Request"},
        {404, "404 Not Found"},
        {405, "405 Method Not Allowed"},
        {413, "413 Content Too Large"},
        {414, "414 URI Too Long"},
        {417, "417 Expectation Failed"},
        {431, "431 Request Header Fields Too Large"},
        {501, "501 Not Implemented"},
        {503, "503 Service Unavailable"},
        {505, "505 HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].status == status)
            return known[i].text;
    return "500 Internal Server Error";
}

size_t response_head(char *out, size_t size, const struct response *response, const struct http_parser *request)
{
    size_t used = format(out, size, "HTTP/1.1 %s\r\n", response_status(response->status));

    if (response->content_type != NULL)
        used += format(out + used, size - used, "Content-Type: %s\r\nContent-Length: %zu\r\n",
                       response->content_type, response->length);
    if (response->allow != NULL)
        used += format(out + used, size - used, "Allow: %s\r\n", response->allow);
    if (request->close)
        used += format(out + used, size - used, "Connection: close\r\n");
    else if (request->http_1_0)
        used += format(out + used, size - used, "Connection: keep-alive\r\n");
    return used + format(out + used, size - used, "Cache-Control: no-store\r\n\r\n");
}
