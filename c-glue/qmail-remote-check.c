/* qmail-remote-check: the process. The same loop runs a delivery that sends no mail and prints what happens. */

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "glue.h"

/* Root becomes the user of qmail-remote, which the check then runs as. */
static struct qmail_auth_delivery *start(struct qmail_auth_check *check)
{
    uint32_t uid, gid;
    int error = 0;

    if (qmail_auth_check_user(check, &uid, &gid) && become_user(uid, gid) == -1)
        error = errno;
    return qmail_auth_check_start(check, error);
}

int main(int argc, char **argv)
{
    static char cwd[PATH_MAX];
    struct qmail_auth_check *check;
    struct qmail_auth_delivery *delivery;
    int status;

    open_descriptors();
    no_core();
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is then an error that --convert reports */
    check = qmail_auth_check_new(argc, (const char *const *)argv, getenv("QMAILHOME"), getcwd(cwd, sizeof cwd),
                                 (const char *)getauxval(AT_EXECFN), (uint32_t)geteuid(), &status);
    if (check == NULL)
        return status;
    delivery = start(check);
    if (delivery == NULL)
        return 1;
    status = run(delivery, NULL) == 0 ? qmail_auth_check_status(delivery) : 1;
    qmail_auth_delivery_free(delivery);
    return status;
}
