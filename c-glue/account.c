/* The directory of an account, HOME/accounts/HOST/USER: the locks of a port there, one of which each login holds, and the file
   `memory`, which is replaced under it. All of this only saves failed logins, so any failure is treated as if it did not exist. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "glue.h"

/* A relay may take its time for each login before ours. */
static struct patience patience = {{{0, 100000}, {60, 0}}, 0};

/* Behind the name of the port: its locks, and the file that the one who holds each may write. */
static const char *const locks[] = {".open", ".open2"};
static const char *const files[] = {".new", ".new2"};

/* The lock that is held, or -1; and which of them it is. */
static int held = -1;
static size_t number;

/* The directory is ours and nobody else can write there, which the delivery has made sure of: what we make in it is ours, too. */
static int open_ours(const char *name, int flags)
{
    return open(name, flags | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
}

/* Appends the end to a name of `len` octets, to what has room for PATH_MAX. Returns 0, or -1 where that would be too long. */
static int join(char *to, const char *name, size_t len, const char *end)
{
    size_t more = strlen(end) + 1;

    if (len + more > PATH_MAX)
        return -1;
    memcpy(to, name, len);
    memcpy(to + len, end, more);
    return 0;
}

/* Holds this lock if it is to be had: at once, or with patience. */
static void hold(const struct qmail_auth_want *want, size_t which, int is_patient)
{
    char name[PATH_MAX];

    number = which;
    if (join(name, want->name, strlen(want->name), locks[which]) == 0)
        held = open_ours(name, O_RDWR);
    if (held != -1 && (is_patient ? lock(held, &patience) : lock_at_once(held)) == -1) {
        close(held);
        held = -1;
    }
}

/* Where all are held, which one to wait for differs by time. */
void account_open(struct qmail_auth_delivery *delivery, const struct qmail_auth_want *want)
{
    size_t first = (size_t)now() % want->locks;
    size_t i;

    for (i = 1; i < want->locks && held == -1; i++)
        hold(want, (first + i) % want->locks, 0);
    if (held == -1)
        hold(want, first, 1);
    qmail_auth_delivery_opened(delivery, now(), unix_time(), held != -1);
}

/* Whole, or not at all. */
static int write_file(const char *name, const char *octets, size_t len)
{
    int fd = open_ours(name, O_WRONLY | O_TRUNC);
    ssize_t n = -1;

    if (fd == -1)
        return -1;
    do
        n = write(fd, octets, len);
    while (n == -1 && errno == EINTR);
    close(fd);
    return n == (ssize_t)len ? 0 : -1;
}

/* Other deliveries read it without the lock, so it changes in one step. Where RLIMIT_FSIZE forbids a file of this size, the signal
   would end the process. */
static void replace(const struct qmail_auth_want *want, const char *octets, size_t len)
{
    char new[PATH_MAX];
    char name[PATH_MAX];
    const char *port = strrchr(want->name, '/');

    if (port == NULL || join(new, want->name, strlen(want->name), files[number]) == -1)
        return;
    if (join(name, want->name, (size_t)(port - want->name), "/memory") == -1)
        return;
    (void)signal(SIGXFSZ, SIG_IGN);
    if (write_file(new, octets, len) == -1 || rename(new, name) == -1)
        (void)unlink(new);
}

void account_release(struct qmail_auth_delivery *delivery, const struct qmail_auth_want *want)
{
    size_t len;
    const char *octets = qmail_auth_delivery_release(delivery, unix_time(), &len);

    if (len > 0)
        replace(want, octets, len);
    if (held != -1)
        close(held);
    held = -1;
}
