/* What a statically linked libc does before main. The linker replaces functions of it by these (--wrap).

   Where libc cannot start the program, mostly because memory is short, it exits 127, and qmail-rspawn bounces mail for that status. So the
   process dies by a signal, which defers the mail. It is a trap instruction, since no function of libc can be relied on at that point. */

#include <malloc.h>
#include <stddef.h>

#include "glue.h"

void *__real__dl_early_allocate(size_t size);
void *__wrap__dl_early_allocate(size_t size);
void __real__dl_non_dynamic_init(void);
void __wrap__dl_non_dynamic_init(void);
void __real__exit(int status) __attribute__((noreturn));
void __wrap__exit(int status) __attribute__((noreturn));

void *__wrap__dl_early_allocate(size_t size)
{
    void *memory = __real__dl_early_allocate(size);

    if (memory == NULL)
        __builtin_trap();
    return memory;
}

/* Nothing calls malloc before this. What malloc reserves counts towards a memory limit, so it is told before the first time. */
void __wrap__dl_non_dynamic_init(void)
{
    (void)mallopt(M_TOP_PAD, TOP_PAD);
    __real__dl_non_dynamic_init();
}

void __wrap__exit(int status)
{
    if (status == 127) /* our own code never exits so */
        __builtin_trap();
    __real__exit(status);
}
