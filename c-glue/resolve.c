/* Names to MX records and addresses, and the addresses of this machine. MX by res_nquery, whose answer goes on as it came;
   addresses by getaddrinfo from /etc/hosts and DNS: so the resolver's own order and timeouts count, and no other module. */

#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <nss.h>
#include <arpa/nameser.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "glue.h"

#define MAX_ADDRESSES 64

static unsigned char answer[NS_MAXMSG];

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

/* Asks DNS alone for one kind of record of the name as it stands. Returns the length of the answer, or -1 and why. */
static int query(const char *name, int type, int *error)
{
    struct __res_state state;
    int n = -1;

    memset(&state, 0, sizeof state);
    *error = NO_RECOVERY;
    if (res_ninit(&state) == -1)
        return -1;
    n = res_nquery(&state, name, C_IN, type, answer, sizeof answer);
    *error = state.res_h_errno;
    res_nclose(&state);
    return n;
}

/* A server that refuses is no proof that there is no such name, so only two answers are final. */
static enum qmail_auth_missing missing(int error)
{
    return error == HOST_NOT_FOUND || error == NO_DATA ? QMAIL_AUTH_MISSING_NONE : QMAIL_AUTH_MISSING_UNKNOWN;
}

void resolve_mx(struct qmail_auth_delivery *delivery, const char *name)
{
    int error;
    int n = query(name, T_MX, &error);

    if (n < 0)
        qmail_auth_delivery_not_found(delivery, missing(error), hstrerror(error));
    else if ((size_t)n > sizeof answer)
        qmail_auth_delivery_not_found(delivery, QMAIL_AUTH_MISSING_UNKNOWN, "an answer without end");
    else
        /* Two deliveries differ in the process, two of one process number in the time. */
        qmail_auth_delivery_mx(delivery, (const char *)answer, (size_t)n, now() + ((uint64_t)getpid() << 32));
}

/* Whether DNS says that the name has no addresses, of either family. Sets what it says else. */
static int has_none(const char *name, const char **why)
{
    static const int types[] = {T_A, T_AAAA};
    size_t i;
    int error;

    for (i = 0; i < sizeof types / sizeof *types; i++) {
        int found = query(name, types[i], &error) >= 0;

        if (found || missing(error) != QMAIL_AUTH_MISSING_NONE) {
            *why = found ? "DNS has an address that the system's resolver does not give" : hstrerror(error);
            return 0;
        }
    }
    return 1;
}

/* getaddrinfo takes the answer about one family for both when the other lookup failed, and need not ask DNS at all. So that
   there are none is believed only when DNS says so itself. */
static void not_resolved(struct qmail_auth_delivery *delivery, const char *name, int error)
{
    const char *why = error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error);
    int says_none = error == EAI_NONAME || error == EAI_NODATA || error == EAI_ADDRFAMILY;
    int none = says_none && has_none(name, &why);

    qmail_auth_delivery_not_found(delivery, none ? QMAIL_AUTH_MISSING_NONE : QMAIL_AUTH_MISSING_UNKNOWN, why);
}

/* As getaddrinfo, with nsswitch.conf left aside. What else it may name are modules that libc loads at run time, which a static
   program can only do with the very libc it was built from; these two are in libc itself. */
static int addresses_of(const char *name, struct addrinfo **found)
{
    struct addrinfo hints;

    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM; /* one entry for each address */
    if (__nss_configure_lookup("hosts", "files dns") == -1)
        return EAI_SYSTEM;
    return getaddrinfo(name, NULL, &hints, found);
}

void resolve(struct qmail_auth_delivery *delivery, const char *name)
{
    struct qmail_auth_address addresses[MAX_ADDRESSES];
    struct addrinfo *found, *one;
    size_t count = 0;
    int error = addresses_of(name, &found);

    if (error != 0) {
        not_resolved(delivery, name, error);
        return;
    }
    for (one = found; one != NULL && count < MAX_ADDRESSES; one = one->ai_next)
        if (copy_address(one->ai_addr, &addresses[count]))
            count++;
    freeaddrinfo(found);
    qmail_auth_delivery_resolved(delivery, addresses, count);
}

/* Without them mail could go round in a circle, so they are had or the process dies by a signal, which defers. */
void own_addresses(struct qmail_auth_delivery *delivery)
{
    struct ifaddrs *all, *one;
    struct qmail_auth_address address;

    if (getifaddrs(&all) == -1)
        abort();
    for (one = all; one != NULL; one = one->ifa_next)
        if (one->ifa_addr != NULL && copy_address(one->ifa_addr, &address))
            qmail_auth_delivery_own_address(delivery, &address);
    freeifaddrs(all);
    qmail_auth_delivery_own_address(delivery, NULL);
}
