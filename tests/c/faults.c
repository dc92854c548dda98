/* What tests/suite/delivery/faults.rs preloads into qmail-remote: system calls and allocations that fail. The environment's FAULT
   says which, a word and a number:

   call N         the Nth system call of those below fails, with the error that stands there; call-from N: and all after it
   alloc N        the Nth allocation fails; alloc-from N: and all after it
   send-from 1    nothing can be sent
   tcpto-from 1   nothing of queue/lock/tcpto can be locked, read or written: the disk is full
   shake SEED     calls are interrupted, not ready, or do less than was asked for, at random
   clock SEED     the time of day jumps by years, at random
   leap N         the monotonic clock goes on by an hour at its Nth reading
   files N        no more than N descriptors
   memory N       no more than N KiB of address space beyond what there is at the start

   The file FAULT_COUNTS begins with two numbers of 64 bits: the calls so far that could have failed, those that did.

   Only what is called through the dynamic linker is seen: not what libc calls itself, nor a call that was fortified. */

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum subject { NONE, CALL, ALLOC, SEND, TCPTO, SHAKE, CLOCK, LEAP };

static enum subject subject = NONE;
static uint64_t number;
static int and_all_after;
static uint64_t spare[2];
static uint64_t *counts = spare;

static void *real(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);

    if (function == NULL)
        abort();
    return function;
}

static void limit(int resource, uint64_t most)
{
    struct rlimit limits = {most, most};

    if (setrlimit(resource, &limits) == -1)
        abort();
}

static uint64_t address_space(void)
{
    uint64_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL || fscanf(file, "%lu", &pages) != 1)
        abort();
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Takes all other memory, also what malloc has in hand. */
static void leave_memory(size_t size)
{
    void *volatile left = malloc(size); /* volatile, or the compiler leaves out what nobody uses */
    void *volatile taken;

    limit(RLIMIT_AS, address_space());
    do
        taken = malloc(16);
    while (taken != NULL);
    free(left);
}

static void share_counts(const char *name)
{
    int fd = open(name, O_RDWR);

    counts = mmap(NULL, sizeof spare, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (counts == MAP_FAILED)
        abort();
    close(fd);
}

/* From here on calls count, and not those of the dynamic linker: without memory or descriptors no program can be loaded. */
__attribute__((constructor)) static void begin(void)
{
    static const char *const words[] = {"", "call", "alloc", "send", "tcpto", "shake", "clock", "leap"};
    char word[16] = "";
    enum subject chosen;

    if (getenv("FAULT") == NULL || getenv("FAULT_COUNTS") == NULL ||
        sscanf(getenv("FAULT"), "%15[a-z]%*[- from]%lu", word, &number) != 2)
        abort();
    and_all_after = strstr(getenv("FAULT"), "-from") != NULL;
    share_counts(getenv("FAULT_COUNTS"));
    if (strcmp(word, "files") == 0) {
        limit(RLIMIT_NOFILE, number);
        return;
    }
    if (strcmp(word, "memory") == 0) {
        leave_memory(number * 1024);
        return;
    }
    for (chosen = LEAP; chosen > NONE && strcmp(word, words[chosen]) != 0; chosen--)
        ;
    if (chosen == NONE)
        abort();
    subject = chosen;
}

/* Counts a call of this subject. Whether it is to fail, with this error; 0 for a call that had better not. */
static int fails(enum subject of, int error)
{
    int hit;

    if (of != subject)
        return 0;
    counts[0]++;
    if (error == 0 && and_all_after)
        return 0;
    hit = and_all_after ? counts[0] >= number : counts[0] == number;
    counts[1] += (uint64_t)hit;
    if (hit)
        errno = error;
    return hit;
}

/* Below this bound, by the seed. */
static uint64_t any(uint64_t bound)
{
    static uint64_t state = 0;

    if (state == 0)
        state = number * 2654435761u + 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return bound == 0 ? 0 : state % bound;
}

/* Whether the call is put off. Only a socket or a pipe is not ready. */
static int put_off(int fd)
{
    struct stat status;
    int (*is)(int, struct stat *) = real("fstat");

    if (subject != SHAKE)
        return 0;
    counts[0]++;
    if (any(3) != 0)
        return 0;
    counts[1]++;
    errno = is(fd, &status) == 0 && !S_ISREG(status.st_mode) && any(2) == 0 ? EAGAIN : EINTR;
    return 1;
}

/* How many octets are asked for. */
static size_t fewer(size_t len)
{
    if (subject != SHAKE || len < 2 || any(2) == 0)
        return len;
    counts[1]++;
    return any(2) == 0 ? 1 : 1 + any(len - 1);
}

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

void *malloc(size_t size)
{
    return fails(ALLOC, ENOMEM) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails(ALLOC, ENOMEM) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return fails(ALLOC, ENOMEM) ? NULL : __libc_realloc(old, size);
}

int posix_memalign(void **to, size_t alignment, size_t size)
{
    *to = fails(ALLOC, ENOMEM) ? NULL : __libc_memalign(alignment, size);
    return *to == NULL ? ENOMEM : 0;
}

/* A call that only fails. */
#define PLAIN(type, name, declared, given, failure, error)                                                            \
    type name declared                                                                                                \
    {                                                                                                                 \
        type(*call) declared = real(#name);                                                                           \
        if (fails(CALL, error))                                                                                       \
            return failure;                                                                                           \
        return call given;                                                                                            \
    }

/* One of descriptor fd that can also be put off, and do less. */
#define MOVES(name, declared, given, error)                                                                           \
    ssize_t name declared                                                                                             \
    {                                                                                                                 \
        ssize_t(*call) declared = real(#name);                                                                        \
        if (fails(CALL, error) || put_off(fd))                                                                        \
            return -1;                                                                                                \
        len = fewer(len);                                                                                             \
        return call given;                                                                                            \
    }

MOVES(read, (int fd, void *to, size_t len), (fd, to, len), EIO)
MOVES(write, (int fd, const void *from, size_t len), (fd, from, len), and_all_after ? 0 : EIO)
MOVES(recv, (int fd, void *to, size_t len, int flags), (fd, to, len, flags), ECONNRESET)

ssize_t send(int fd, const void *from, size_t len, int flags)
{
    ssize_t (*call)(int, const void *, size_t, int) = real("send");

    if (fails(CALL, EPIPE) || fails(SEND, EPIPE) || put_off(fd))
        return -1;
    return call(fd, from, fewer(len), flags);
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    int (*call)(struct pollfd *, nfds_t, int) = real("poll");

    if (fails(CALL, ENOMEM))
        return -1;
    if (put_off(fds[0].fd)) {
        errno = EINTR; /* the only way in which Linux puts it off */
        return -1;
    }
    if (timeout > 0 && fewer(2) == 1)
        return 0; /* too early */
    return call(fds, count, timeout);
}

int connect(int fd, const struct sockaddr *to, socklen_t len)
{
    int (*call)(int, const struct sockaddr *, socklen_t) = real("connect");
    int result;

    if (fails(CALL, ENETUNREACH))
        return -1;
    result = call(fd, to, len);
    if (subject == SHAKE && (result == 0 || errno == EINPROGRESS)) { /* interrupted, it goes on */
        errno = EINTR;
        result = -1;
    }
    return result;
}

int flock(int fd, int how)
{
    int (*call)(int, int) = real("flock");

    if (fails(CALL, ENOLCK) || fails(TCPTO, ENOLCK) || put_off(fd))
        return -1;
    return call(fd, how);
}

ssize_t pread(int fd, void *to, size_t len, off_t place)
{
    ssize_t (*call)(int, void *, size_t, off_t) = real("pread");

    if (fails(CALL, EIO) || fails(TCPTO, EIO) || put_off(fd))
        return -1;
    return call(fd, to, len, place);
}

ssize_t pwrite(int fd, const void *from, size_t len, off_t place)
{
    ssize_t (*call)(int, const void *, size_t, off_t) = real("pwrite");

    if (fails(CALL, ENOSPC) || fails(TCPTO, ENOSPC))
        return -1;
    return call(fd, from, len, place);
}

int rename(const char *from, const char *to)
{
    int (*call)(const char *, const char *) = real("rename");

    return fails(CALL, ENOSPC) ? -1 : call(from, to);
}

static int open_with(const char *name, const char *path, int flags, int mode)
{
    int (*call)(const char *, int, ...) = real(name);

    return fails(CALL, EMFILE) ? -1 : call(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    return open_with("open", path, flags, 0);
}

int open64(const char *path, int flags, ...)
{
    return open_with("open64", path, flags, 0);
}

int fcntl(int fd, int command, ...)
{
    int (*call)(int, int, ...) = real("fcntl");
    va_list rest;
    void *argument;

    va_start(rest, command);
    argument = va_arg(rest, void *);
    va_end(rest);
    return fails(CALL, EBADF) ? -1 : call(fd, command, argument);
}

/* The closing is done, and what was written cannot be kept. */
int close(int fd)
{
    int (*call)(int) = real("close");
    int result = call(fd);

    return fails(CALL, EIO) ? -1 : result;
}

long syscall(long which, ...)
{
    long (*call)(long, ...) = real("syscall");
    va_list rest;
    long a[6];
    int i;

    va_start(rest, which);
    for (i = 0; i < 6; i++)
        a[i] = va_arg(rest, long);
    va_end(rest);
    if (fails(CALL, EIO) || (which == SYS_getrandom && put_off(-1)))
        return -1;
    return call(which, a[0], which == SYS_getrandom ? (long)fewer((size_t)a[1]) : a[1], a[2], a[3], a[4], a[5]);
}

int clock_gettime(clockid_t which, struct timespec *to)
{
    static time_t leapt = 0;
    int (*call)(clockid_t, struct timespec *) = real("clock_gettime");

    if (fails(CALL, and_all_after ? 0 : EINVAL) || call(which, to) == -1)
        return -1;
    if (subject == CLOCK && which == CLOCK_REALTIME) {
        counts[0]++;
        counts[1]++;
        to->tv_sec += (time_t)any(20 * 31556952) - 10 * 31556952;
    }
    if (which == CLOCK_MONOTONIC && fails(LEAP, EINVAL))
        leapt = 3600;
    if (which == CLOCK_MONOTONIC)
        to->tv_sec += leapt;
    return 0;
}

ssize_t getrandom(void *to, size_t len, unsigned flags)
{
    ssize_t (*call)(void *, size_t, unsigned) = real("getrandom");

    if (fails(CALL, EIO) || put_off(-1))
        return -1;
    return call(to, fewer(len), flags);
}

PLAIN(int, bind, (int fd, const struct sockaddr *to, socklen_t len), (fd, to, len), -1, EADDRNOTAVAIL)
PLAIN(int, fstat, (int fd, struct stat *to), (fd, to), -1, EIO)
PLAIN(int, fstat64, (int fd, struct stat64 *to), (fd, to), -1, EIO)
PLAIN(int, stat64, (const char *path, struct stat64 *to), (path, to), -1, EIO)
PLAIN(int, lstat64, (const char *path, struct stat64 *to), (path, to), -1, EIO)
PLAIN(int, statx, (int fd, const char *path, int flags, unsigned mask, struct statx *to), (fd, path, flags, mask, to), -1, EIO)
PLAIN(char *, getcwd, (char *to, size_t len), (to, len), NULL, ENOENT)
PLAIN(off_t, lseek, (int fd, off_t to, int from), (fd, to, from), -1, ESPIPE)
PLAIN(off64_t, lseek64, (int fd, off64_t to, int from), (fd, to, from), -1, ESPIPE)
PLAIN(DIR *, opendir, (const char *path), (path), NULL, ENOMEM)
PLAIN(struct dirent64 *, readdir64, (DIR *directory), (directory), NULL, EIO)
PLAIN(int, setrlimit, (__rlimit_resource_t which, const struct rlimit *to), (which, to), -1, EPERM)
PLAIN(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t len), (fd, level, name, value, len), -1,
      ENOBUFS)
PLAIN(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *len), (fd, level, name, value, len), -1,
      ENOBUFS)
PLAIN(int, socket, (int family, int type, int protocol), (family, type, protocol), -1, EMFILE)
PLAIN(void *, mmap64, (void *at, size_t len, int how, int flags, int fd, off64_t from), (at, len, how, flags, fd, from),
      MAP_FAILED, ENOMEM)
PLAIN(int, getifaddrs, (struct ifaddrs **to), (to), -1, ENOMEM)
PLAIN(int, getaddrinfo,
      (const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **to),
      (name, service, hints, to), EAI_MEMORY, ENOMEM)
