/* What the files of c-glue have of each other. Every descriptor is non-blocking and above 2. */

#ifndef GLUE_H
#define GLUE_H

#include <stdint.h>
#include <sys/time.h>

#include "delivery.h"

/* Octets on their way to the delivery, which keeps none of them. */
extern char piece[64 * 1024];

/* Makes sure that no password gets into a core dump or another process of this user. */
void no_core(void);

/* Milliseconds of the monotonic clock. */
uint64_t now(void);

/* Seconds since 1970 began. */
uint64_t unix_time(void);

/* What poll waits for a deadline: milliseconds, 0 when it has passed. */
int left(uint64_t deadline);

/* From here on calls are interrupted (EINTR), and the resolver's waiting over TCP ends, once so much time has passed. */
void limit_begin(const struct itimerval *left);

/* Whether it has. */
int limit_is_over(void);

/* Ends that. Sets what is left of the time. */
void limit_end(struct itimerval *left);

/* Looks up the MX records of the name and tells the delivery. */
void resolve_mx(struct qmail_auth_delivery *delivery, const char *name);

/* Looks up the addresses of the name and tells the delivery. */
void resolve(struct qmail_auth_delivery *delivery, const char *name);

/* Tells the delivery all addresses of this machine. */
void own_addresses(struct qmail_auth_delivery *delivery);

/* Tells the delivery what is in the file of this name, and writes what it changes there. */
void tcpto(struct qmail_auth_delivery *delivery, const char *name);

/* Connects, and tells the delivery. Returns the descriptor, or -1. */
int connect_to(struct qmail_auth_delivery *delivery, const struct qmail_auth_want *want);

/* Runs a delivery to its end, and writes its report, or what a check prints, to descriptor 1. Does not return when a report
   cannot be written. Returns 0, or -1 when what a check prints cannot be. */
int run(struct qmail_auth_delivery *delivery);

#endif
