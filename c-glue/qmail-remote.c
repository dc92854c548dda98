/* qmail-remote: the process. It makes its surroundings safe, passes what the delivery must know of them, and always exits 0, since
   qmail-rspawn bounces mail for any other status. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "glue.h"

/* The package searches a file for this text to know that the file is this program. */
static const char mark[] = "qmail-remote-auth: this program is /usr/libexec/qmail-remote-auth/qmail-remote";

/* Opens the lowest free descriptor on something that can be neither read nor written. Unlike /dev/null, `/` always exists. */
static int nothing(void)
{
    return open("/", O_PATH);
}

/* Makes descriptors 0 to 2 safe. Without a report pipe there is no delivery. A closed descriptor 0 becomes one that cannot be read:
   an empty message would be delivered. Descriptor 2 is the report pipe, too, so nothing may be written to it. */
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

    __asm__ volatile("" : : "r"(mark)); /* or the compiler would leave it out */
    sound_descriptors();
    no_core();
    (void)mallopt(M_TOP_PAD, TOP_PAD); /* what malloc reserves counts towards a memory limit */
    signal(SIGPIPE, SIG_IGN);
    delivery = qmail_auth_delivery_new(argc, (const char *const *)argv, getenv("QMAILHOME"),
                                       getcwd(cwd, sizeof cwd), (const char *)getauxval(AT_EXECFN), (uint32_t)getpid(),
                                       (uint32_t)getauxval(AT_EUID), unix_time());
    (void)run(delivery, NULL); /* only a check can fail here */
    qmail_auth_delivery_free(delivery);
    return 0;
}
