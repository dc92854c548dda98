/* qmail-remote-check: the process. A delivery that sends no mail and prints what happens, run by the same loop. */

#include <limits.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "glue.h"

/* A connection must not become the descriptor that is printed to. Where that is closed, the exit status is all that is wanted, and
   what is printed goes into a file in memory: /dev/null need not be there, or may be a file. */
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
    check = qmail_auth_check_new(argc, (const char *const *)argv, getenv("QMAILHOME"), getcwd(cwd, sizeof cwd),
                                 (const char *)getauxval(AT_EXECFN), (uint32_t)geteuid(), &status);
    if (check == NULL)
        return status;
    status = run(check) == 0 ? qmail_auth_check_status(check) : 1;
    qmail_auth_delivery_free(check);
    return status;
}
