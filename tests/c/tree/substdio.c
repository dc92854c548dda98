/* A buffer in front of a descriptor, for writing. */

#include <string.h>

#include "tree.h"

int substdio_flush(substdio *to)
{
    unsigned int len = to->p;

    to->p = 0;
    return len == 0 || to->op(to->x, len) == (ssize_t)len ? 0 : -1;
}

int substdio_put(substdio *to, const char *octets, size_t len)
{
    while (len > 0) {
        size_t room = to->n - to->p;
        size_t part = len < room ? len : room;

        memcpy(to->x + to->p, octets, part);
        to->p += (unsigned int)part;
        octets += part;
        len -= part;
        if (to->p == to->n && substdio_flush(to) == -1)
            return -1;
    }
    return 0;
}

int substdio_puts(substdio *to, const char *s)
{
    return substdio_put(to, s, strlen(s));
}
