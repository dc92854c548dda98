/* The two clocks of a delivery: monotonic for deadlines, Unix time for certificates and tcpto. */

#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include "glue.h"

uint64_t now(void)
{
    struct timespec t;

    if (clock_gettime(CLOCK_MONOTONIC, &t) == -1)
        abort();
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t unix_time(void)
{
    struct timespec t;

    if (clock_gettime(CLOCK_REALTIME, &t) == -1)
        abort();
    return t.tv_sec < 0 ? 0 : (uint64_t)t.tv_sec;
}

int left(uint64_t deadline)
{
    uint64_t t = now();

    if (t >= deadline)
        return 0;
    return deadline - t > INT_MAX ? INT_MAX : (int)(deadline - t);
}
