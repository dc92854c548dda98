/* A consent: browsers that come back to a port of this machine, and the person at descriptor 0. Whatever they say is passed on unread. */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "glue.h"

/* How many may be connected at once: some browsers connect twice and speak once. */
#define BROWSERS 4

static int listener = -1;
static int browsers[BROWSERS] = {-1, -1, -1, -1};
/* The one that was heard last, and the one that goes first when another comes. */
static size_t heard, oldest;
static int input_has_ended;

void browser_listen(struct qmail_auth_delivery *oauth)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int error = 0;

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener == -1 || bind(listener, (const struct sockaddr *)(const void *)&address, size) == -1
        || listen(listener, BROWSERS) == -1 || getsockname(listener, (struct sockaddr *)(void *)&address, &size) == -1)
        error = errno;
    qmail_auth_oauth_listening(oauth, error, ntohs(address.sin_port));
}

static void forget(size_t number)
{
    close(browsers[number]);
    browsers[number] = -1;
}

static void welcome(struct qmail_auth_delivery *oauth)
{
    size_t number = oldest;
    size_t i;
    int s = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (s == -1)
        return;
    for (i = 0; i < BROWSERS; i++)
        if (browsers[i] == -1)
            number = i;
    if (browsers[number] != -1) {
        forget(number);
        oldest = (oldest + 1) % BROWSERS;
    }
    browsers[number] = s;
    qmail_auth_oauth_browser(oauth, number, "", 0);
}

static void hear_browser(struct qmail_auth_delivery *oauth, size_t number)
{
    ssize_t n = recv(browsers[number], piece, sizeof piece, 0);

    heard = number;
    if (n > 0)
        qmail_auth_oauth_browser(oauth, number, piece, (size_t)n);
    else if (n == 0 || (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK))
        forget(number);
}

static void read_line(struct qmail_auth_delivery *oauth)
{
    ssize_t n = read(0, piece, sizeof piece);

    if (n == -1 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
        return;
    if (n <= 0)
        input_has_ended = 1;
    qmail_auth_oauth_line(oauth, piece, n > 0 ? (size_t)n : 0);
}

/* Passes on one thing that was said, if something was. */
void browser_hear(struct qmail_auth_delivery *oauth, const struct qmail_auth_want *want)
{
    struct pollfd p[BROWSERS + 2];
    size_t i;
    int ready;

    for (i = 0; i < BROWSERS + 2; i++)
        p[i].events = POLLIN;
    for (i = 0; i < BROWSERS; i++)
        p[i].fd = browsers[i];
    p[BROWSERS].fd = listener;
    p[BROWSERS + 1].fd = input_has_ended ? -1 : 0;
    ready = poll(p, BROWSERS + 2, left(want->deadline));
    if (ready == 0 && left(want->deadline) == 0)
        qmail_auth_oauth_timed_out(oauth, now());
    if (ready <= 0)
        return;
    for (i = 0; i < BROWSERS; i++)
        if (p[i].revents != 0) {
            hear_browser(oauth, i);
            return;
        }
    if (p[BROWSERS].revents != 0)
        welcome(oauth);
    else
        read_line(oauth);
}

/* A short page, which the kernel takes at once; and where not, the browser shows less. */
void browser_answer(struct qmail_auth_delivery *oauth, const struct qmail_auth_want *want)
{
    if (browsers[heard] != -1) {
        (void)send(browsers[heard], want->octets, want->len, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)shutdown(browsers[heard], SHUT_WR);
        forget(heard);
    }
    qmail_auth_oauth_answered(oauth);
}

void wait_until(struct qmail_auth_delivery *oauth, uint64_t deadline)
{
    while (left(deadline) > 0)
        (void)poll(NULL, 0, left(deadline));
    qmail_auth_oauth_timed_out(oauth, now());
}
