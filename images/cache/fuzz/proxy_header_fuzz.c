/* A PROXY header: whatever comes byte by byte is understood as if it had come at once. */
#include <assert.h>
#include <stdint.h>

#include "proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    size_t length = 0, first = 0;
    const enum proxy_header whole = proxy_header_read(bytes, size, &length);
    enum proxy_header by_bytes = PROXY_MORE;

    while (by_bytes == PROXY_MORE && first < size) {
        size_t had = 0;

        by_bytes = proxy_header_read(bytes, ++first, &had);
        assert(by_bytes != PROXY_COMPLETE || had == first);
    }
    assert(by_bytes == whole);
    assert(whole != PROXY_COMPLETE || (length == first && length <= size));
    return 0;
}
