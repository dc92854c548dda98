/* In an archive of its own, case.a, so that only a program that uses it gets it. */

#include <ctype.h>

#include "tree.h"

int case_starts(const char *s, const char *prefix)
{
    for (; *prefix != 0; s++, prefix++)
        if (tolower((unsigned char)*s) != tolower((unsigned char)*prefix))
            return 0;
    return 1;
}
