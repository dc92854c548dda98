/* The library's calls of libc. Rust calls another library's function through an entry of the GOT, which the loader fills in when the
   program starts: some 600 instructions for each function, used or not. A call that C makes goes through the PLT, which is filled in
   at the first call. script/deb gives the calls in libqmail_auth.a the names of this file.

   The last two are what Rust's core names for unwinding. Nothing unwinds there, so they are never run. */

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

void *plt_malloc(size_t size)
{
    return malloc(size);
}

void *plt_calloc(size_t count, size_t size)
{
    return calloc(count, size);
}

void plt_free(void *memory)
{
    free(memory);
}

void plt_abort(void)
{
    abort();
}

void *plt_memcpy(void *to, const void *from, size_t len)
{
    return memcpy(to, from, len);
}

void *plt_memmove(void *to, const void *from, size_t len)
{
    return memmove(to, from, len);
}

void *plt_memset(void *to, int octet, size_t len)
{
    return memset(to, octet, len);
}

int plt_memcmp(const void *one, const void *other, size_t len)
{
    return memcmp(one, other, len);
}

int plt_bcmp(const void *one, const void *other, size_t len)
{
    return bcmp(one, other, len);
}

ssize_t plt_getrandom(void *octets, size_t len, unsigned int flags)
{
    return getrandom(octets, len, flags);
}

size_t plt_strlen(const char *text)
{
    return strlen(text);
}

void plt__Unwind_Resume(void)
{
    abort();
}

void plt_rust_eh_personality(void)
{
    abort();
}
