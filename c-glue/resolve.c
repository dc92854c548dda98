/* The resolver: MX records by res_query, whose answer is passed on unread; addresses by getaddrinfo, from /etc/hosts and DNS, with
   the system's own order and timeouts; and the addresses of this machine. */

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

/* One more than a delivery tries, so that it knows when a name has more. */
#define MAX_ADDRESSES 65

/* All lookups of a delivery share one minute. How much of it is left, and the time between two interruptions once it is over. */
static struct itimerval left_for_lookups = {{0, 100000}, {60, 0}};
static const char *too_late = "no answer in 60 seconds";
static int is_late, is_for_each;

void lookups_within_20_seconds_each(void)
{
    is_for_each = 1;
    too_late = "no answer in 20 seconds";
}

static void begin_anew(void)
{
    left_for_lookups.it_value.tv_sec = 20;
    left_for_lookups.it_value.tv_usec = 0;
    is_late = 0;
}

/* Returns 1 if `from` is an IP address, else 0. */
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

/* Starts the timer if there is time left for a lookup. Returns whether there is. */
static int begin(void)
{
    if (is_for_each)
        begin_anew();
    if (!is_late)
        limit_begin(&left_for_lookups);
    return !is_late;
}

static void end(void)
{
    is_late = limit_is_over();
    limit_end(&left_for_lookups);
}

/* After the time is up the result is unknown, whatever the resolver says. */
static void not_found(struct qmail_auth_delivery *delivery, enum qmail_auth_missing missing, const char *why)
{
    if (is_late)
        qmail_auth_delivery_not_found(delivery, QMAIL_AUTH_MISSING_UNKNOWN, too_late);
    else
        qmail_auth_delivery_not_found(delivery, missing, why);
}

/* Only two answers prove that there is nothing: a server that fails or refuses does not. */
static enum qmail_auth_missing missing(int error)
{
    return error == HOST_NOT_FOUND || error == NO_DATA ? QMAIL_AUTH_MISSING_NONE : QMAIL_AUTH_MISSING_UNKNOWN;
}

void resolve_mx(struct qmail_auth_delivery *delivery, const char *name)
{
    int n = -1;

    if (begin()) {
        n = res_query(name, C_IN, T_MX, (unsigned char *)piece, sizeof piece); /* no search list */
        end();
    }
    if (n < 0)
        not_found(delivery, missing(h_errno), hstrerror(h_errno));
    else if ((size_t)n > sizeof piece)
        not_found(delivery, QMAIL_AUTH_MISSING_UNKNOWN, "an answer without end");
    else
        /* The seed differs by process, and for one process number by time. */
        qmail_auth_delivery_mx(delivery, piece, (size_t)n, now() + ((uint64_t)getpid() << 32));
}

/* Whether DNS says that the name has no address of either family. Otherwise sets `why`. */
static int has_none(const char *name, const char **why)
{
    static const uint16_t types[] = {T_A, T_AAAA};
    size_t i;

    for (i = 0; i < sizeof types / sizeof *types; i++) {
        int n;

        if (limit_is_over())
            return 0;
        n = res_query(name, C_IN, types[i], (unsigned char *)piece, sizeof piece);
        if (n < 0 && missing(h_errno) != QMAIL_AUTH_MISSING_NONE) {
            *why = hstrerror(h_errno);
            return 0;
        }
        /* The answer may be an alias alone, of a name without addresses. */
        if (n >= 0 && ((size_t)n > sizeof piece || qmail_auth_answer_has(piece, (size_t)n, types[i]))) {
            *why = "DNS has an address that the system's resolver does not give";
            return 0;
        }
    }
    return 1;
}

/* When the lookup of one family fails, getaddrinfo reports the result of the other for both, and it need not have asked DNS at
   all. So "no addresses" is believed only if DNS itself says so. */
static enum qmail_auth_missing not_resolved(const char *name, int error, const char **why)
{
    int says_none = error == EAI_NONAME || error == EAI_NODATA || error == EAI_ADDRFAMILY;

    *why = error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error);
    return says_none && has_none(name, why) ? QMAIL_AUTH_MISSING_NONE : QMAIL_AUTH_MISSING_UNKNOWN;
}

/* getaddrinfo without nsswitch.conf. Other modules that the file may name would be loaded at run time, and a static program can do
   that only with the very libc that it was built from. These two are in libc itself. */
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

static void resolved(struct qmail_auth_delivery *delivery, struct addrinfo *found)
{
    struct qmail_auth_address addresses[MAX_ADDRESSES];
    struct addrinfo *one;
    size_t count = 0;

    for (one = found; one != NULL && count < MAX_ADDRESSES; one = one->ai_next)
        if (copy_address(one->ai_addr, &addresses[count]))
            count++;
    freeaddrinfo(found);
    qmail_auth_delivery_resolved(delivery, addresses, count);
}

void resolve(struct qmail_auth_delivery *delivery, const char *name)
{
    enum qmail_auth_missing kind = QMAIL_AUTH_MISSING_UNKNOWN;
    struct addrinfo *found = NULL;
    const char *why = "";
    int error;

    if (begin()) {
        error = addresses_of(name, &found);
        if (error != 0)
            kind = not_resolved(name, error, &why);
        end();
    }
    if (found != NULL)
        resolved(delivery, found);
    else
        not_found(delivery, kind, why);
}

void own_addresses(struct qmail_auth_delivery *delivery)
{
    struct ifaddrs *all, *one;
    struct qmail_auth_address address;

    if (getifaddrs(&all) == -1) {
        qmail_auth_delivery_own_addresses_failed(delivery, errno);
        return;
    }
    for (one = all; one != NULL; one = one->ifa_next)
        if (one->ifa_addr != NULL && copy_address(one->ifa_addr, &address))
            qmail_auth_delivery_own_address(delivery, &address);
    freeifaddrs(all);
    qmail_auth_delivery_own_address(delivery, NULL);
}
