/* Descriptor 1: the report pipe of qmail-rspawn, or the output of a check. */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "glue.h"

int write_whole(const char *octets, size_t len)
{
    struct pollfd p = {1, POLLOUT, 0};

    while (len > 0) {
        ssize_t n = write(1, octets, len);

        if (n > 0) {
            octets += n;
            len -= (size_t)n;
        } else if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            (void)poll(&p, 1, 1000);
        } else if (n == 0 || errno != EINTR) {
            return -1;
        }
    }
    return 0;
}

void write_report(const char *octets, size_t len)
{
    if (write_whole(octets, len) == -1)
        abort();
}
