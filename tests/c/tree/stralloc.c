/* Strings that grow. Behind the text stands a Z and not a NUL, so that whoever takes one for a C string finds out. */

#include <stdlib.h>
#include <string.h>

#include "tree.h"

int stralloc_ready(stralloc *sa, unsigned int n)
{
    char *s;

    if (n <= sa->a)
        return 1;
    s = (char *)realloc(sa->s, n + 30);
    if (s == NULL)
        return 0;
    sa->s = s;
    sa->a = n + 30;
    return 1;
}

static int add(stralloc *sa, const char *octets, size_t len)
{
    if (!stralloc_ready(sa, sa->len + (unsigned int)len + 1))
        return 0;
    memcpy(sa->s + sa->len, octets, len);
    sa->len += (unsigned int)len;
    sa->s[sa->len] = 'Z';
    return 1;
}

int stralloc_cat(stralloc *sa, const stralloc *more)
{
    return add(sa, more->s, more->len);
}

int stralloc_cats(stralloc *sa, const char *s)
{
    return add(sa, s, strlen(s));
}

int stralloc_copys(stralloc *sa, const char *s)
{
    sa->len = 0;
    return add(sa, s, strlen(s));
}

int stralloc_append(stralloc *sa, const char *octet)
{
    return add(sa, octet, 1);
}
