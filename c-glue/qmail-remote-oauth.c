/* qmail-remote-oauth: the process. The loop of a delivery, and what a delivery has no use for: files of tokens, browsers, a person. */

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "glue.h"

static void others(struct qmail_auth_delivery *oauth, const struct qmail_auth_want *want)
{
    switch (want->what) {
    case QMAIL_AUTH_WHAT_PREPARE: tokens_prepare(oauth, want); break;
    case QMAIL_AUTH_WHAT_REPLACE: tokens_replace(oauth, want); break;
    case QMAIL_AUTH_WHAT_LISTEN: browser_listen(oauth); break;
    case QMAIL_AUTH_WHAT_HEAR: browser_hear(oauth, want); break;
    case QMAIL_AUTH_WHAT_ANSWER: browser_answer(oauth, want); break;
    case QMAIL_AUTH_WHAT_WAIT: wait_until(oauth, want->deadline); break;
    default: abort();
    }
}

/* Root becomes the user of qmail-remote before anything goes out. */
static struct qmail_auth_delivery *start(struct qmail_auth_oauth *oauth, int *status)
{
    uint32_t uid, gid;
    int error = 0;

    if (qmail_auth_oauth_user(oauth, &uid, &gid) && become_user(uid, gid) == -1)
        error = errno;
    if (qmail_auth_oauth_goes_on(oauth)) {
        (void)signal(SIGHUP, SIG_IGN);
        (void)signal(SIGINT, SIG_IGN);
        (void)signal(SIGTERM, SIG_IGN); /* as of a systemd that stops qmail */
    }
    return qmail_auth_oauth_start(oauth, error, unix_time(), status);
}

int main(int argc, char **argv)
{
    static char cwd[PATH_MAX];
    struct qmail_auth_oauth *oauth;
    struct qmail_auth_delivery *machine;
    int status;

    open_descriptors();
    no_core();
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is then an error that is reported */
    (void)signal(SIGPIPE, SIG_IGN); /* qmail-remote may not wait for what is stored */
    lookups_within_20_seconds_each();
    locks_within_55_seconds_each();
    oauth = qmail_auth_oauth_new(argc, (const char *const *)argv, getenv("QMAILHOME"), getcwd(cwd, sizeof cwd),
                                 (const char *)getauxval(AT_EXECFN), (uint32_t)geteuid(), &status);
    if (oauth == NULL)
        return status;
    machine = start(oauth, &status);
    if (machine == NULL)
        return status;
    status = run(machine, others) == 0 ? qmail_auth_oauth_status(machine) : 1;
    qmail_auth_delivery_free(machine);
    return status;
}
