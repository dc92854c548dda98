/* The files of an account's tokens: they are replaced under a lock. A token that is lost may be a login that is lost, so
   each step is on the disk before the next one, and a failure is told. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "glue.h"

/* The directory is ours and nobody else can write there, which has been made sure of: what we make in it is ours, too. */
static int open_ours(const char *name, int flags)
{
    return open(name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
}

/* The name of the file with `.new` behind it, or that of its directory. */
static char path[PATH_MAX];

/* Sets `path` to the first `len` octets of a name and what is to be behind them. Returns 0 or -1. */
static int set_path(const char *name, size_t len, const char *end)
{
    size_t more = strlen(end) + 1;

    if (len > sizeof path - more) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(path, name, len);
    memcpy(path + len, end, more);
    return 0;
}

static int set_new(const char *name)
{
    return set_path(name, strlen(name), ".new");
}

/* Writes at the beginning of the file. Returns 0 or -1. */
static int write_all(int fd, const char *octets, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pwrite(fd, octets + done, len - done, (off_t)done);

        if (n == -1 && errno != EINTR)
            return -1;
        if (n > 0)
            done += (size_t)n;
    }
    return 0;
}

/* Writes this and nothing else into the new file, and waits until it is on the disk. Returns 0 or -1. */
static int fill(const char *name, int flags, const char *octets, size_t len)
{
    int fd = open_ours(name, O_WRONLY | O_CREAT | flags);
    int failed, error;

    if (fd == -1)
        return -1;
    failed = write_all(fd, octets, len) == -1 || ftruncate(fd, (off_t)len) == -1 || fsync(fd) == -1;
    error = errno;
    close(fd);
    errno = error;
    return failed ? -1 : 0;
}

/* Waits until the names in the directory of this file are on the disk. Returns 0 or -1. */
static int sync_directory(const char *name)
{
    const char *end = strrchr(name, '/');
    int fd, failed;

    if (end == NULL)
        return 0;
    if (set_path(name, (size_t)(end - name), "/") == -1)
        return -1;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1)
        return -1;
    failed = fsync(fd);
    close(fd);
    return failed;
}

/* A disk that is full shows now, and not when there is a token to be written. */
void tokens_prepare(struct qmail_auth_delivery *oauth, const struct qmail_auth_want *want)
{
    static const char room[16 * 1024];
    int failed = set_new(want->name) == -1 || fill(path, O_TRUNC, room, sizeof room) == -1;

    qmail_auth_oauth_stored(oauth, failed ? errno : 0);
}

/* Without O_TRUNC, so that the room which was made is used. */
void tokens_replace(struct qmail_auth_delivery *oauth, const struct qmail_auth_want *want)
{
    int failed = set_new(want->name) == -1 || fill(path, 0, want->octets, want->len) == -1
                 || rename(path, want->name) == -1 || sync_directory(want->name) == -1;

    qmail_auth_oauth_stored(oauth, failed ? errno : 0);
}
