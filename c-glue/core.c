/* Protects the password in memory: no core file, and no other process of this user may look into ours. */

#include <sys/prctl.h>
#include <sys/resource.h>

#include "glue.h"

void no_core(void)
{
    struct rlimit none = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0);
}
