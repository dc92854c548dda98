/* qmail-remote: the process. It makes its surroundings safe, gives the delivery what it must know of them, and always
   exits 0, since qmail-rspawn bounces mail for any other status. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "glue.h"

/* The package looks for this in a file to know that it is ours. */
static const char mark[] = "qmail-remote-auth: this program is /usr/libexec/qmail-remote-auth/qmail-remote";

/* Takes the lowest free descriptor. It can be neither read nor written, and is there where /dev/null is not, or is a file. */
static int nothing(void)
{
    return open("/", O_PATH);
}

/* Without a report pipe there is no delivery. Without a message, descriptor 0 becomes one that cannot be read, since an
   empty message would be sent. Descriptor 2 is the report pipe as well, so nothing may be written there. */
static void sound_descriptors(void)
{
    int report = fcntl(1, F_GETFL);

    if (report == -1 || (report & O_ACCMODE) == O_RDONLY)
        abort();
    if (fcntl(0, F_GETFD) == -1 && nothing() != 0)
        abort();
    close(2);
    if (nothing() != 2)
        abort();
}

int main(int argc, char **argv)
{
    static char cwd[PATH_MAX];
    struct qmail_auth_delivery *delivery;

    __asm__ volatile("" : : "r"(mark)); /* keeps it in the program */
    sound_descriptors();
    no_core();
    (void)mallopt(M_TOP_PAD, 32 * 1024); /* what malloc sets aside counts for a limit of memory */
    signal(SIGPIPE, SIG_IGN);
    delivery = qmail_auth_delivery_new(argc, (const char *const *)argv, getenv("QMAILHOME"),
                                       getcwd(cwd, sizeof cwd), (const char *)getauxval(AT_EXECFN), (uint32_t)getpid());
    (void)run(delivery); /* it is no check */
    qmail_auth_delivery_free(delivery);
    return 0;
}
