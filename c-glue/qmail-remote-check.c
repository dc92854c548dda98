/* qmail-remote-check: the process. The same loop runs a delivery that sends no mail and prints what happens. */

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "glue.h"

/* No connection may become a descriptor that is printed to. Where one of those is closed, the caller wants only the exit status,
   and the output goes to a file in memory. Unlike /dev/null, that always exists. */
static void sound_descriptors(void)
{
    int fd;

    do
        fd = memfd_create("closed", 0);
    while (fd >= 0 && fd <= 2);
    if (fd == -1)
        abort();
    close(fd);
}

int main(int argc, char **argv)
{
    static char cwd[PATH_MAX];
    struct qmail_auth_delivery *check;
    int status;

    sound_descriptors();
    no_core();
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is then an error that --convert reports */
    check = qmail_auth_check_new(argc, (const char *const *)argv, getenv("QMAILHOME"), getcwd(cwd, sizeof cwd),
                                 (const char *)getauxval(AT_EXECFN), (uint32_t)geteuid(), &status);
    if (check == NULL)
        return status;
    status = run(check) == 0 ? qmail_auth_check_status(check) : 1;
    qmail_auth_delivery_free(check);
    return status;
}
