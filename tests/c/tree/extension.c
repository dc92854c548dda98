/* A later patch, whose object stands behind case.a in the line that links, although it needs what is in there. */

#include "tree.h"

int offers(const stralloc *ehlo, const char *keyword)
{
    unsigned int i;

    for (i = 0; i + 4 < ehlo->len; i++)
        if ((i == 0 || ehlo->s[i - 1] == '\n') && case_starts(ehlo->s + i + 4, keyword))
            return 1;
    return 0;
}
