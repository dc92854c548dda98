/* What libc does when it cannot start a program that it is linked into, for want of memory mostly: it exits 127 before main, for
   which qmail-rspawn bounces, and nothing of ours runs before that. So the linker puts these in the place of two of its functions,
   and the process dies by a signal, which defers: by an instruction, since nothing of libc can be relied on there. */

#include <stddef.h>

void *__real__dl_early_allocate(size_t size);
void *__wrap__dl_early_allocate(size_t size);
void __real__exit(int status) __attribute__((noreturn));
void __wrap__exit(int status) __attribute__((noreturn));

void *__wrap__dl_early_allocate(size_t size)
{
    void *memory = __real__dl_early_allocate(size);

    if (memory == NULL)
        __builtin_trap();
    return memory;
}

void __wrap__exit(int status)
{
    if (status == 127) /* nothing of ours exits so */
        __builtin_trap();
    __real__exit(status);
}
