/* Internal interface of c-glue. Every descriptor that is opened is non-blocking and above 2. */

#ifndef GLUE_H
#define GLUE_H

#include <stdint.h>
#include <sys/time.h>

#include "delivery.h"

/* A shared buffer for octets on their way to the delivery, which copies what it needs. */
extern char piece[64 * 1024];

/* How many octets malloc reserves beyond what it is asked for. */
#define TOP_PAD (32 * 1024)

/* Keeps passwords out of core dumps and away from other processes of this user. */
void no_core(void);

/* Becomes this user and group for good. Returns 0; or -1, and sets errno, if that has failed or root could be had back. */
int become_user(uint32_t uid, uint32_t gid);

/* Milliseconds of the monotonic clock. Aborts on failure. */
uint64_t now(void);

/* Unix time in seconds. Aborts on failure. */
uint64_t unix_time(void);

/* The timeout for poll until a deadline: milliseconds, 0 when it has passed. */
int left(uint64_t deadline);

/* Starts the timer. When it fires, system calls are interrupted (EINTR) and the resolver's wait over TCP ends. */
void limit_begin(const struct itimerval *left);

/* Whether it has fired. */
int limit_is_over(void);

/* Stops it and restores the old signal state. Sets `left` to the time that remains. */
void limit_end(struct itimerval *left);

/* How long a delivery still waits for a lock, with the time between two interruptions once that is over; and whether it is. */
struct patience {
    struct itimerval left;
    int is_over;
};

/* Locks the open file if nobody else has locked it. Returns 0 or -1. */
int lock_at_once(int fd);

/* Locks the open file. Returns 0, or -1 when that fails or takes too long. Closing the file releases the lock. */
int lock(int fd, struct patience *patience);

/* Looks up the MX records of `name` and tells the delivery. */
void resolve_mx(struct qmail_auth_delivery *delivery, const char *name);

/* Looks up the addresses of `name` and tells the delivery. */
void resolve(struct qmail_auth_delivery *delivery, const char *name);

/* Tells the delivery all addresses of this machine. */
void own_addresses(struct qmail_auth_delivery *delivery);

/* Tells the delivery what is in the file `name`, and writes what it wants changed there. */
void tcpto(struct qmail_auth_delivery *delivery, const char *name);

/* Takes the lock `want->name` of an account, and tells the delivery. */
void account_lock(struct qmail_auth_delivery *delivery, const struct qmail_auth_want *want);

/* Lets the delivery write what came of the login, and releases the lock. */
void account_release(struct qmail_auth_delivery *delivery);

/* Runs the program that the delivery wants, and tells it what that printed. */
void run_program(struct qmail_auth_delivery *delivery, const struct qmail_auth_want *want);

/* Connects, and tells the delivery. Returns the descriptor, or -1. */
int connect_to(struct qmail_auth_delivery *delivery, const struct qmail_auth_want *want);

/* Writes all of this to descriptor 1. Returns 0, or -1 when not all could be written. */
int write_whole(const char *octets, size_t len);

/* Writes a report to descriptor 1. qmail-rspawn would misread a truncated report, so it is written whole, or the process dies by a
   signal, which defers the mail. */
void write_report(const char *octets, size_t len);

/* Does what only one program wants. */
typedef void other_wants(struct qmail_auth_delivery *delivery, const struct qmail_auth_want *want);

/* Runs a delivery to its end. Writes its report, or the output of a check, to descriptor 1. Aborts when a report cannot be written
   whole. Returns 0, or -1 when the output of a check cannot be written. `others` may be NULL: then there are none. */
int run(struct qmail_auth_delivery *delivery, other_wants *others);

/* Makes sure that 0, 1 and 2 are open: no connection may become a descriptor that is read or printed to. Aborts where it cannot. */
void open_descriptors(void);

/* From now on each lookup has 20 seconds, and not all of them together a minute. */
void lookups_within_20_seconds_each(void);

/* From now on each lock of an account is waited for 55 seconds, and not all of them together for a minute. */
void locks_within_55_seconds_each(void);

/* Makes room beside the file `want->name`, and tells. */
void tokens_prepare(struct qmail_auth_delivery *oauth, const struct qmail_auth_want *want);

/* Replaces the file `want->name`, and tells. */
void tokens_replace(struct qmail_auth_delivery *oauth, const struct qmail_auth_want *want);

/* Listens at a port of 127.0.0.1 for browsers, and tells. */
void browser_listen(struct qmail_auth_delivery *oauth);

/* Tells what a browser or the person at descriptor 0 says. */
void browser_hear(struct qmail_auth_delivery *oauth, const struct qmail_auth_want *want);

/* Answers the browser that was heard last, and tells. */
void browser_answer(struct qmail_auth_delivery *oauth, const struct qmail_auth_want *want);

/* Waits, and tells. */
void wait_until(struct qmail_auth_delivery *oauth, uint64_t deadline);

#endif
