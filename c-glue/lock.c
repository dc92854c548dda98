/* Waits for the lock of a file, but not without end: others hold it for a short time only, unless they are stopped. */

#include <errno.h>
#include <sys/file.h>

#include "glue.h"

/* The kernel gives the lock to waiting processes in turn. */
static int wait_for_lock(int fd, struct patience *patience)
{
    int locked = -1;

    if (patience->is_over)
        return -1;
    limit_begin(&patience->left);
    do
        locked = flock(fd, LOCK_EX);
    while (locked == -1 && errno == EINTR && !limit_is_over());
    patience->is_over = limit_is_over();
    limit_end(&patience->left);
    return locked;
}

int lock_at_once(int fd)
{
    int locked;

    do
        locked = flock(fd, LOCK_EX | LOCK_NB);
    while (locked == -1 && errno == EINTR);
    return locked;
}

int lock(int fd, struct patience *patience)
{
    int locked = lock_at_once(fd);

    return locked == -1 && errno == EWOULDBLOCK ? wait_for_lock(fd, patience) : locked;
}
