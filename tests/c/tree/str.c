#include "tree.h"

/* The index of the first c, or that of the NUL. */
unsigned int str_chr(const char *s, int c)
{
    unsigned int i = 0;

    while (s[i] != 0 && s[i] != c)
        i++;
    return i;
}

int str_diffn(const char *s, const char *t, unsigned int len)
{
    unsigned int i;

    for (i = 0; i < len; i++)
        if (s[i] != t[i] || s[i] == 0)
            return s[i] - t[i];
    return 0;
}
