/* The lock of an account, HOME/accounts/HOST/USER/open: who holds it logs in, and then writes what came of it. All of this only
   saves failed logins, so any failure is treated as if there were no such directory. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "glue.h"

/* A relay may take its time for each login before ours. */
static struct patience patience = {{{0, 100000}, {60, 0}}, 0};

static int is_for_each;

/* Who holds the lock of tokens asks the provider, which takes 50 seconds at most; and a delivery waits a minute for the answer. */
void locks_within_55_seconds_each(void)
{
    is_for_each = 1;
}

static void begin_anew(void)
{
    patience.left.it_value.tv_sec = 55;
    patience.left.it_value.tv_usec = 0;
    patience.is_over = 0;
}

/* The lock that is held, or -1. */
static int held = -1;

/* The directory is ours and nobody else can write there, which the delivery has made sure of: what we make in it is ours, too.
   Returns 0 or errno. */
static int hold(const char *name, int wait)
{
    int fd = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
    int error = 0;

    if (fd == -1)
        return errno;
    if (is_for_each)
        begin_anew();
    if ((wait ? lock(fd, &patience) : lock_at_once(fd)) == -1) {
        error = errno;
        close(fd);
    } else {
        held = fd;
    }
    return error;
}

void account_lock(struct qmail_auth_delivery *delivery, const struct qmail_auth_want *want)
{
    int error = hold(want->name, want->wait);

    qmail_auth_delivery_locked(delivery, now(), unix_time(), error);
}

/* Where RLIMIT_FSIZE forbids a file of the size of the memory, the signal would end the process. */
void account_release(struct qmail_auth_delivery *delivery)
{
    (void)signal(SIGXFSZ, SIG_IGN);
    qmail_auth_delivery_release(delivery, unix_time());
    if (held != -1)
        close(held);
    held = -1;
}
