/* Connects to one address until a deadline. */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "glue.h"

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* Returns the length of the result. */
static socklen_t fill(union any_address *to, const struct qmail_auth_address *from, uint16_t port)
{
    memset(to, 0, sizeof *to);
    if (from->len == 4) {
        to->v4.sin_family = AF_INET;
        to->v4.sin_port = htons(port);
        memcpy(&to->v4.sin_addr, from->octets, 4);
        return sizeof to->v4;
    }
    to->v6.sin6_family = AF_INET6;
    to->v6.sin6_port = htons(port);
    to->v6.sin6_scope_id = from->scope;
    memcpy(&to->v6.sin6_addr, from->octets, 16);
    return sizeof to->v6;
}

static int bind_to(int s, const struct qmail_auth_address *source)
{
    union any_address address;
    socklen_t size = fill(&address, source, 0);

    return bind(s, &address.any, size);
}

/* Waits for a connect in progress. Returns 0 or the errno of its failure. */
static int finish(int s, uint64_t deadline)
{
    struct pollfd p = {s, POLLOUT, 0};
    int error = 0;
    socklen_t size = sizeof error;
    int ready;

    do
        ready = poll(&p, 1, left(deadline));
    while ((ready == -1 && errno == EINTR) || (ready == 0 && left(deadline) > 0));
    if (ready == 0)
        return ETIMEDOUT;
    if (ready == -1 || getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &size) == -1)
        return errno;
    return error;
}

int connect_to(struct qmail_auth_delivery *delivery, const struct qmail_auth_want *want)
{
    union any_address address;
    socklen_t size = fill(&address, &want->address, want->port);
    int error = 0;
    int one = 1;
    int s = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (s == -1) {
        qmail_auth_delivery_not_connected(delivery, errno);
        return -1;
    }
    if (want->source.len != 0 && bind_to(s, &want->source) == -1) {
        qmail_auth_delivery_not_bound(delivery, errno);
        close(s);
        return -1;
    }
    /* Without TCP_NODELAY each of our short flights would wait up to 40 ms for the acknowledgement of the one before. Not fatal if
       it fails. */
    (void)setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(s, &address.any, size) == -1)
        error = errno == EINPROGRESS || errno == EINTR ? finish(s, want->deadline) : errno;
    if (error != 0) {
        close(s);
        qmail_auth_delivery_not_connected(delivery, error);
        return -1;
    }
    qmail_auth_delivery_connected(delivery, now(), unix_time());
    return s;
}
