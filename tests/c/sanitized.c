/* The control of script/sanitize: makes the mistake that it is told, in a process of which the kernel gives nothing away, as
   qmail-remote is one. */

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

static char *volatile kept;

int main(int argc, char **argv)
{
    char octets[8] = "octets";
    volatile int number = INT_MAX;
    const char *mistake = argc == 2 ? argv[1] : "";

    prctl(PR_SET_DUMPABLE, 0);
    kept = octets;
    if (strcmp(mistake, "overflow") == 0)
        number = kept[sizeof octets];
    if (strcmp(mistake, "undefined") == 0)
        number++;
    kept = malloc(8);
    if (strcmp(mistake, "leak") == 0)
        kept = octets;
    else
        free(kept);
    if (strcmp(mistake, "freed") == 0)
        number = kept[0];
    return 0;
}
