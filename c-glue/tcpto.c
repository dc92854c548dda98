/* queue/lock/tcpto, which all deliveries of one qmail share: reads it, and writes one record if the delivery wants that, under the
   lock that stock qmail-remote takes. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "glue.h"

/* Others hold the lock for a few system calls only. */
static struct patience patience = {{{0, 100000}, {5, 0}}, 0};

static size_t read_file(int fd, char *octets, size_t size)
{
    ssize_t n;

    do
        n = pread(fd, octets, size, 0);
    while (n == -1 && errno == EINTR);
    return n > 0 ? (size_t)n : 0;
}

/* Where RLIMIT_FSIZE forbids a file of this size, the signal would end the process. */
static void write_change(int fd, const struct qmail_auth_change *change)
{
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)!pwrite(fd, change->octets, change->len, (off_t)change->offset);
}

/* The file only saves time, so any failure here is treated as if it did not exist. */
void tcpto(struct qmail_auth_delivery *delivery, const char *name)
{
    char octets[1024];
    struct qmail_auth_change change;
    size_t len = 0;
    int fd = open(name, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd != -1 && lock(fd, &patience) == 0)
        len = read_file(fd, octets, sizeof octets);
    qmail_auth_delivery_tcpto(delivery, octets, len, unix_time(), &change);
    if (change.len > 0)
        write_change(fd, &change);
    if (fd != -1)
        close(fd); /* and releases the lock */
}
