/* Runs the program that has the token of a login, and reads what it prints. It gets nothing of ours: no descriptor, no signal that is
   blocked or ignored, no environment but what the delivery says; and it is in a session of its own, as it may outlive us. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "glue.h"

/* The descriptors of the program: nothing to read, what it prints, and nowhere to complain to. Returns 0 or an errno. */
static int set_files(posix_spawn_file_actions_t *files, int out)
{
    int error = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);

    if (error == 0)
        error = posix_spawn_file_actions_adddup2(files, out, 1);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(files, 2, "/dev/null", O_WRONLY, 0);
    return error == 0 ? posix_spawn_file_actions_addclosefrom_np(files, 3) : error;
}

/* Its signals: qmail-rspawn leaves SIGCHLD blocked, and we ignore SIGPIPE. Returns 0 or an errno. */
static int set_signals(posix_spawnattr_t *attributes)
{
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    (void)posix_spawnattr_setsigmask(attributes, &none);
    (void)posix_spawnattr_setsigdefault(attributes, &all);
    return posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
}

/* Starts it, printing to `out`. A name without a slash is looked for in the PATH that the program gets. Returns 0 or an errno. */
static int start(pid_t *pid, int out, const char *const *words, const char *const *environment)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    size_t i;
    int error;

    for (i = 0; environment[i] != NULL; i++)
        if (strncmp(environment[i], "PATH=", 5) == 0)
            (void)setenv("PATH", environment[i] + 5, 1);
    error = posix_spawn_file_actions_init(&files);
    if (error != 0)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (error == 0) {
        error = set_files(&files, out);
        if (error == 0)
            error = set_signals(&attributes);
        if (error == 0)
            error = posix_spawnp(pid, words[0], &files, &attributes, (char *const *)words, (char *const *)environment);
        (void)posix_spawnattr_destroy(&attributes);
    }
    (void)posix_spawn_file_actions_destroy(&files);
    return error;
}

/* What the program has printed may not stay in memory. The compiler may not leave this out, as it may a memset. */
static void clear(volatile char *octets, size_t len)
{
    while (len > 0)
        octets[--len] = 0;
}

/* Reads to the end of what it prints, or as much as a token can take. Returns how many octets, or -1 where that takes too long. */
static ssize_t read_all(int in, uint64_t deadline)
{
    struct pollfd p = {in, POLLIN, 0};
    struct iovec room = {piece, sizeof piece};
    size_t len = 0;
    ssize_t n = 1;
    int ready;

    while (len < sizeof piece && n != 0) {
        ready = poll(&p, 1, left(deadline));
        if (ready != 1 && left(deadline) == 0)
            return -1;
        if (ready == 1)
            n = readv(in, &room, 1);
        if (n == -1 && errno != EINTR)
            return -1;
        if (ready == 1 && n > 0) {
            len += (size_t)n;
            room.iov_base = piece + len;
            room.iov_len = sizeof piece - len;
        }
    }
    return (ssize_t)len;
}

/* Waits for its end, which comes soon after that of what it prints. Returns 0, or -1 where that takes too long. */
static int wait_for(pid_t pid, int *status, uint64_t deadline)
{
    pid_t ended;

    for (;;) {
        ended = waitpid(pid, status, WNOHANG);
        if (ended == pid)
            return 0;
        if ((ended == -1 && errno != EINTR) || left(deadline) == 0)
            return -1;
        (void)poll(NULL, 0, 5);
    }
}

void run_program(struct qmail_auth_delivery *delivery, const struct qmail_auth_want *want)
{
    const char *const *environment = NULL;
    const char *const *words = qmail_auth_delivery_program(delivery, &environment);
    ssize_t len = -1;
    int pipes[2], error, status = 0, ended = -1;
    pid_t pid = -1;

    if (words == NULL)
        abort();
    (void)signal(SIGCHLD, SIG_DFL); /* where a parent of ours ignores it there would be no status */
    (void)signal(SIGXFSZ, SIG_IGN); /* what is kept of a token may be more than a limit lets us write */
    if (pipe2(pipes, O_CLOEXEC) == -1) {
        qmail_auth_delivery_not_run(delivery, errno, unix_time());
        return;
    }
    error = start(&pid, pipes[1], words, environment);
    close(pipes[1]);
    if (error == 0)
        len = read_all(pipes[0], want->deadline);
    close(pipes[0]);
    if (len >= 0)
        ended = wait_for(pid, &status, want->deadline);
    if (ended == 0)
        qmail_auth_delivery_ran(delivery, status, piece, (size_t)len, unix_time());
    else
        qmail_auth_delivery_not_run(delivery, error, unix_time());
    clear(piece, sizeof piece);
}
