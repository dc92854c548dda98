/* What the headers of a classic qmail tree declare, as far as this one has it: strings that grow and have no NUL at their end,
   buffered descriptors, and names as there. It is C89 and C++98. */

#ifndef TREE_H
#define TREE_H

#include <stddef.h>
#include <sys/types.h>

typedef struct {
    char *s;
    unsigned int len;
    unsigned int a;
} stralloc;

int stralloc_ready(stralloc *sa, unsigned int n);
int stralloc_copys(stralloc *sa, const char *s);
int stralloc_cat(stralloc *sa, const stralloc *more);
int stralloc_cats(stralloc *sa, const char *s);
int stralloc_append(stralloc *sa, const char *octet);
#define stralloc_0(sa) stralloc_append(sa, "")

typedef struct {
    char *x;
    unsigned int p; /* octets in it */
    unsigned int n; /* its size */
    ssize_t (*op)(char *octets, size_t len);
} substdio;

int substdio_put(substdio *to, const char *octets, size_t len);
int substdio_puts(substdio *to, const char *s);
int substdio_flush(substdio *to);

unsigned int str_chr(const char *s, int c);
int str_diffn(const char *s, const char *t, unsigned int len);
int case_starts(const char *s, const char *prefix);
int offers(const stralloc *ehlo, const char *keyword);

#endif
