/* The main loop: the delivery says what it wants, one function here does it, and the delivery is told what happened. */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "glue.h"

/* Large enough that a large message needs few system calls. Not larger, because the delivery needs twice this size besides, and
   must run under the memory limits that stock qmail-remote runs under. */
char piece[64 * 1024];

static int try_again(void)
{
    return errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK;
}

/* A relay with Nagle's algorithm (RFC 896) holds back its next reply until this one is acknowledged, and our kernel would delay
   that by 40 ms. The option does not last (tcp(7)), so it is set each time. Not fatal if it fails. */
static void acknowledge(int s)
{
    int one = 1;

    (void)setsockopt(s, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
}

static void receive(struct qmail_auth_delivery *delivery, int s, int in_message)
{
    ssize_t n = recv(s, piece, sizeof piece, 0);

    if (n > 0 && !in_message)
        acknowledge(s);
    if (n > 0)
        qmail_auth_delivery_received(delivery, now(), piece, (size_t)n);
    else if (n == 0 || !try_again())
        qmail_auth_delivery_closed(delivery);
}

static void send_some(struct qmail_auth_delivery *delivery, int s, const struct qmail_auth_want *want)
{
    ssize_t n = send(s, want->octets, want->len, MSG_NOSIGNAL);

    if (n >= 0)
        qmail_auth_delivery_sent(delivery, now(), (size_t)n);
    else if (!try_again())
        qmail_auth_delivery_send_failed(delivery);
}

/* Always receives before it sends: the delivery must know whether a reply came before the command that it would answer. */
static void io(struct qmail_auth_delivery *delivery, int s, const struct qmail_auth_want *want, int in_message)
{
    struct pollfd p = {s, POLLIN, 0};
    int ready;

    if (want->len > 0)
        p.events |= POLLOUT;
    ready = poll(&p, 1, left(want->deadline));
    if (ready == 0 && left(want->deadline) == 0)
        qmail_auth_delivery_timed_out(delivery);
    else if (ready == -1 && !try_again())
        qmail_auth_delivery_closed(delivery);
    else if (ready == 1 && p.revents == POLLOUT)
        send_some(delivery, s, want);
    else if (ready == 1)
        receive(delivery, s, in_message);
}

/* qmail gives a file as descriptor 0, which is always ready. Where it is a pipe, the server may say something before the pipe is
   ready. */
static void read_message(struct qmail_auth_delivery *delivery, int s, const struct qmail_auth_want *want)
{
    struct pollfd p[] = {{s, POLLIN, 0}, {0, POLLIN, 0}};
    int ready = poll(p, 2, left(want->deadline));
    ssize_t n;

    if (ready == 0 && left(want->deadline) == 0) {
        qmail_auth_delivery_timed_out(delivery);
    } else if (ready > 0 && p[0].revents != 0) {
        receive(delivery, s, 1);
    } else if (ready > 0) {
        n = read(0, piece, sizeof piece);
        if (n >= 0)
            qmail_auth_delivery_message(delivery, piece, (size_t)n);
        else if (!try_again())
            qmail_auth_delivery_message_failed(delivery, errno);
    } else if (ready == -1 && !try_again()) {
        qmail_auth_delivery_message_failed(delivery, errno);
    }
}

/* Reads the whole message and seeks back to its start, where descriptor 0 can seek. */
static void prescan(struct qmail_auth_delivery *delivery)
{
    struct stat file;
    off_t start = lseek(0, 0, SEEK_CUR);
    ssize_t n;

    if (start == -1 || fstat(0, &file) == -1 || !S_ISREG(file.st_mode)) { /* a device may have no end */
        qmail_auth_delivery_not_prescanned(delivery);
        return;
    }
    do {
        n = read(0, piece, sizeof piece);
        if (n > 0)
            qmail_auth_delivery_message(delivery, piece, (size_t)n);
    } while (n > 0 || (n == -1 && errno == EINTR));
    if (n == -1 || lseek(0, start, SEEK_SET) == -1)
        qmail_auth_delivery_message_failed(delivery, errno);
    else
        qmail_auth_delivery_message(delivery, piece, 0);
}

/* So few octets come whole (getrandom(2)), unless a signal comes early in the life of the system. */
static void random_octets(struct qmail_auth_delivery *delivery)
{
    char octets[32];
    ssize_t n;

    do
        n = getrandom(octets, sizeof octets, 0);
    while (n == -1 && errno == EINTR);
    qmail_auth_delivery_random(delivery, n == -1 ? NULL : octets, n == -1 ? 0 : (size_t)n);
}

static void hang_up(struct qmail_auth_delivery *delivery, int s, const struct qmail_auth_want *want)
{
    if (want->len > 0)
        (void)send(s, want->octets, want->len, MSG_DONTWAIT | MSG_NOSIGNAL); /* a QUIT whose reply nobody waits for */
    close(s);
    qmail_auth_delivery_disconnected(delivery, now());
}

int run(struct qmail_auth_delivery *delivery, other_wants *others)
{
    struct qmail_auth_want want;
    int s = -1;
    int in_message = 0; /* or after it, when only one reply is still to come */

    for (;;) {
        qmail_auth_delivery_want(delivery, now(), &want);
        switch (want.what) {
        case QMAIL_AUTH_WHAT_MX: resolve_mx(delivery, want.name); break;
        case QMAIL_AUTH_WHAT_ADDRESSES: resolve(delivery, want.name); break;
        case QMAIL_AUTH_WHAT_OWN_ADDRESSES: own_addresses(delivery); break;
        case QMAIL_AUTH_WHAT_TCPTO: tcpto(delivery, want.name); break;
        case QMAIL_AUTH_WHAT_LOCK: account_lock(delivery, &want); break;
        case QMAIL_AUTH_WHAT_RELEASE: account_release(delivery); break;
        case QMAIL_AUTH_WHAT_CONNECT: s = connect_to(delivery, &want); break;
        case QMAIL_AUTH_WHAT_IO: io(delivery, s, &want, in_message); break;
        case QMAIL_AUTH_WHAT_PRESCAN: prescan(delivery); break;
        case QMAIL_AUTH_WHAT_MESSAGE: in_message = 1; read_message(delivery, s, &want); break;
        case QMAIL_AUTH_WHAT_RANDOM: random_octets(delivery); break;
        case QMAIL_AUTH_WHAT_RUN: run_program(delivery, &want); break;
        case QMAIL_AUTH_WHAT_CLOSE: hang_up(delivery, s, &want); break;
        case QMAIL_AUTH_WHAT_PRINT:
            if (write_whole(want.octets, want.len) == -1)
                return -1;
            break;
        case QMAIL_AUTH_WHAT_DONE: write_report(want.octets, want.len); return 0;
        default:
            if (others == NULL)
                abort();
            others(delivery, &want);
        }
    }
}
