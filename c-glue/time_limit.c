/* A time limit for calls that have no deadline of their own. It is SIGALRM. Our parent may have blocked or ignored that signal, or
   may have started a timer of its own: all of this is restored afterwards. */

#include <errno.h>
#include <netinet/in.h>
#include <arpa/nameser.h>
#include <resolv.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "glue.h"

static volatile sig_atomic_t is_over;
static struct sigaction old_action;
static sigset_t old_mask;
static struct itimerval old_timer;

/* glibc's resolver continues after EINTR. Over TCP it would wait for ever, so its connection is shut down, which it takes for a
   failure. Over UDP it finishes the wait that has begun (timeout: in resolv.conf), and asks no server a second time. */
static void interrupt(int number)
{
    int error = errno;

    (void)number;
    is_over = 1;
    _res.retry = 1;
    _res.retrans = 1;
    if (_res._vcsock > 2)
        (void)shutdown(_res._vcsock, SHUT_RDWR);
    errno = error;
}

void limit_begin(const struct itimerval *left)
{
    struct sigaction action;
    sigset_t mask;

    memset(&action, 0, sizeof action); /* without SA_RESTART */
    action.sa_handler = interrupt;
    sigemptyset(&mask);
    sigaddset(&mask, SIGALRM);
    (void)sigaction(SIGALRM, &action, &old_action);
    (void)sigprocmask(SIG_UNBLOCK, &mask, &old_mask);
    (void)setitimer(ITIMER_REAL, left, &old_timer);
    is_over = 0; /* a signal that was pending before is not our timer's */
}

int limit_is_over(void)
{
    return is_over;
}

void limit_end(struct itimerval *left)
{
    (void)setitimer(ITIMER_REAL, &old_timer, left);
    (void)sigprocmask(SIG_SETMASK, &old_mask, NULL);
    (void)sigaction(SIGALRM, &old_action, NULL);
}
