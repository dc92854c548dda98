/* queue/lock/tcpto, which all deliveries of a qmail share: read, and perhaps one record of it written, under stock's lock. */

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "glue.h"

static int lock(int fd)
{
    int locked;

    do
        locked = flock(fd, LOCK_EX);
    while (locked == -1 && errno == EINTR);
    return locked;
}

static size_t read_file(int fd, char *octets, size_t size)
{
    ssize_t n;

    do
        n = pread(fd, octets, size, 0);
    while (n == -1 && errno == EINTR);
    return n > 0 ? (size_t)n : 0;
}

/* It only spares timeouts, so whatever fails here is as if the file were not there. */
void tcpto(struct qmail_auth_delivery *delivery, const char *name)
{
    char octets[1024];
    struct qmail_auth_change change;
    size_t len = 0;
    int fd = open(name, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd != -1 && lock(fd) == 0)
        len = read_file(fd, octets, sizeof octets);
    qmail_auth_delivery_tcpto(delivery, octets, len, unix_time(), &change);
    if (change.len > 0)
        (void)!pwrite(fd, change.octets, change.len, (off_t)change.offset);
    if (fd != -1)
        close(fd); /* and with it the lock */
}
