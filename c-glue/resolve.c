/* Names to addresses, by getaddrinfo: so the hosts file counts, and the resolver's own order and timeouts. */

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "glue.h"

#define MAX_ADDRESSES 64

/* Returns 1 when it was an IP address. */
static int copy_address(const struct sockaddr *from, struct qmail_auth_address *to)
{
    memset(to, 0, sizeof *to);
    if (from->sa_family == AF_INET) {
        to->len = 4;
        memcpy(to->octets, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
        return 1;
    }
    if (from->sa_family == AF_INET6) {
        to->len = 16;
        to->scope = ((const struct sockaddr_in6 *)(const void *)from)->sin6_scope_id;
        memcpy(to->octets, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, 16);
        return 1;
    }
    return 0;
}

void resolve(struct qmail_auth_delivery *delivery, const char *name)
{
    struct qmail_auth_address addresses[MAX_ADDRESSES];
    struct addrinfo hints, *found, *one;
    size_t count = 0;
    int error;

    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM; /* one entry for each address */
    error = getaddrinfo(name, NULL, &hints, &found);
    if (error != 0) {
        qmail_auth_delivery_not_resolved(delivery, error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
        return;
    }
    for (one = found; one != NULL && count < MAX_ADDRESSES; one = one->ai_next)
        if (copy_address(one->ai_addr, &addresses[count]))
            count++;
    freeaddrinfo(found);
    qmail_auth_delivery_resolved(delivery, addresses, count);
}
