/* The descriptors 0, 1 and 2 of a program that a person runs. Where one of them is closed, the caller wants only the exit status, and
   the output goes to a file in memory. Unlike /dev/null, that always exists. */

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "glue.h"

void open_descriptors(void)
{
    int fd;

    do
        fd = memfd_create("closed", 0);
    while (fd >= 0 && fd <= 2);
    if (fd == -1)
        abort();
    close(fd);
}
