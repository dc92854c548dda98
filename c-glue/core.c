/* A process that holds a password: nobody is to find it in a file or look into it. */

#include <sys/prctl.h>
#include <sys/resource.h>

#include "glue.h"

void no_core(void)
{
    struct rlimit none = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0);
}
