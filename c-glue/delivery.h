/* The delivery machine, for c-glue alone.
   Made by cbindgen from src/ffi/address.rs, delivery.rs, happened.rs, check.rs and oauth.rs: do not edit. */

#ifndef QMAIL_AUTH_DELIVERY_H
#define QMAIL_AUTH_DELIVERY_H

#include <stddef.h>
#include <stdint.h>

/* The one thing to do next. */
enum qmail_auth_what {
  /* Look up the MX records of `name`. */
  QMAIL_AUTH_WHAT_MX,
  /* Look up the addresses of `name`. */
  QMAIL_AUTH_WHAT_ADDRESSES,
  /* Tell the addresses of this machine. */
  QMAIL_AUTH_WHAT_OWN_ADDRESSES,
  /* Lock the file `name`, tell what is in it, write the change, unlock it. */
  QMAIL_AUTH_WHAT_TCPTO,
  /* Lock the file `name` of an account; wait for it if `wait` is not 0. */
  QMAIL_AUTH_WHAT_LOCK,
  /* Tell the delivery to write what came of the login, and release that lock. */
  QMAIL_AUTH_WHAT_RELEASE,
  /* Connect to `address` and `port` until `deadline`, from `source` if it has a length. */
  QMAIL_AUTH_WHAT_CONNECT,
  /* Receive, and send what the kernel takes of `octets`, until `deadline`. */
  QMAIL_AUTH_WHAT_IO,
  /* Read the whole message and go back to its start. */
  QMAIL_AUTH_WHAT_PRESCAN,
  /* Read on in the message, and receive, until `deadline`. */
  QMAIL_AUTH_WHAT_MESSAGE,
  /* Tell random octets. */
  QMAIL_AUTH_WHAT_RANDOM,
  /* Run the program of qmail_auth_delivery_program until `deadline`. */
  QMAIL_AUTH_WHAT_RUN,
  /* Send `octets` if the kernel takes them at once, and close. */
  QMAIL_AUTH_WHAT_CLOSE,
  /* Write `octets` to the report pipe, whole, and exit 0. After a check there are none. */
  QMAIL_AUTH_WHAT_DONE,
  /* Write `octets` to descriptor 1, whole. No delivery wants this. */
  QMAIL_AUTH_WHAT_PRINT,
  /* Make room in `name` with `.new` behind it. */
  QMAIL_AUTH_WHAT_PREPARE,
  /* Write `octets` there, and rename it to `name`. */
  QMAIL_AUTH_WHAT_REPLACE,
  /* Listen at a port of 127.0.0.1. */
  QMAIL_AUTH_WHAT_LISTEN,
  /* Read from descriptor 0, and what browsers send there, until `deadline`. */
  QMAIL_AUTH_WHAT_HEAR,
  /* Send `octets` to the browser that was heard last, and close. */
  QMAIL_AUTH_WHAT_ANSWER,
  /* Do nothing until `deadline`. */
  QMAIL_AUTH_WHAT_WAIT
};

/* Why a lookup came to nothing. */
enum qmail_auth_missing {
  /* There is no such name, or it has nothing of what was asked for. */
  QMAIL_AUTH_MISSING_NONE,
  /* Nobody knows now. */
  QMAIL_AUTH_MISSING_UNKNOWN
};

/* A check that has not begun. Made by qmail_auth_check_new, freed by qmail_auth_check_start. */
struct qmail_auth_check;

/* One delivery, or what qmail-remote-oauth does. Made by qmail_auth_delivery_new, freed by qmail_auth_delivery_free. Every other
   function takes it and does nothing for NULL, but for qmail_auth_delivery_want. Where an errno is asked for it is errno as the failed
   call left it. */
struct qmail_auth_delivery;

/* What qmail-remote-oauth will do. Made by qmail_auth_oauth_new, freed by qmail_auth_oauth_start. */
struct qmail_auth_oauth;

/* An IP address. */
struct qmail_auth_address {
  /* 4 or 16: how many octets count. */
  uint32_t len;
  /* The interface of a link-local IPv6 address, else 0. */
  uint32_t scope;
  /* In network order. */
  uint8_t octets[16];
};

/* What is wanted. Pointers are good until the next call with the same delivery. */
struct qmail_auth_want {
  /* Which of the members below count. */
  enum qmail_auth_what what;
  /* A number, not in network order. */
  uint16_t port;
  /* 1 or 0. */
  int wait;
  /* To connect to. */
  struct qmail_auth_address address;
  /* To connect from. */
  struct qmail_auth_address source;
  /* NUL-terminated. */
  const char *name;
  /* To send or write. */
  const char *octets;
  /* How many there are. */
  size_t len;
  /* Milliseconds of the monotonic clock. */
  uint64_t deadline;
};

/* A record to write into queue/lock/tcpto. */
struct qmail_auth_change {
  /* 16, or 0: there is nothing to write. */
  size_t len;
  /* The place in the file. */
  size_t offset;
  /* What to write there. */
  uint8_t octets[16];
};

#ifdef __cplusplus
extern "C" {
#endif /* __cplusplus */

/* Starts a delivery with main's arguments. `qmailhome` is the environment variable, `cwd` the working directory, `execfn`
   the name that the program was executed by; each may be NULL. `pid` is that of the process, `uid` its effective user, `unix_time`
   in seconds. Reads the control files. */
struct qmail_auth_delivery *qmail_auth_delivery_new(int argc,
                                                    const char *const *argv,
                                                    const char *qmailhome,
                                                    const char *cwd,
                                                    const char *execfn,
                                                    uint32_t pid,
                                                    uint32_t uid,
                                                    uint64_t unix_time);

/* What to do now; `now` is in milliseconds of the monotonic clock. Without a delivery the process ends by a signal. */
void qmail_auth_delivery_want(struct qmail_auth_delivery *delivery, uint64_t now, struct qmail_auth_want *want);

/* The words of the program to run, NULL behind the last. Sets `environment`, which is not NULL, to its environment, in the same form.
   Both are good until the next call with the same delivery. NULL where no program is wanted. */
const char *const *qmail_auth_delivery_program(struct qmail_auth_delivery *delivery,
                                               const char *const **environment);

/* Frees a delivery, and clears its secrets. Does nothing for NULL. */
void qmail_auth_delivery_free(struct qmail_auth_delivery *delivery);

/* The resolver's answer about the MX records, whole. `seed` decides between mail exchangers of one preference. */
void qmail_auth_delivery_mx(struct qmail_auth_delivery *delivery, const char *answer, size_t len, uint64_t seed);

/* Whether the resolver's answer has a record of this type, or cannot be understood: 0 proves that there is none. */
int qmail_auth_answer_has(const char *answer, size_t len, uint16_t kind);

/* The lookup, of MX records or of addresses, came to nothing. `why` is the resolver's text. */
void qmail_auth_delivery_not_found(struct qmail_auth_delivery *delivery,
                                   enum qmail_auth_missing missing,
                                   const char *why);

/* This machine has this address. NULL: all have been told. */
void qmail_auth_delivery_own_address(struct qmail_auth_delivery *delivery, const struct qmail_auth_address *address);

/* The addresses of this machine cannot be found out. */
void qmail_auth_delivery_own_addresses_failed(struct qmail_auth_delivery *delivery, int error);

/* The name has these addresses, to be tried in this order. None counts as not resolved. */
void qmail_auth_delivery_resolved(struct qmail_auth_delivery *delivery,
                                  const struct qmail_auth_address *addresses,
                                  size_t count);

/* What is in queue/lock/tcpto, from its start; `len` 0 where it cannot be read. `unix_time` is in seconds. Sets `change`. */
void qmail_auth_delivery_tcpto(struct qmail_auth_delivery *delivery,
                               const char *octets,
                               size_t len,
                               uint64_t unix_time,
                               struct qmail_auth_change *change);

/* The lock of the account is held; or it is not, and then `error` is not 0. `unix_time` is in seconds. */
void qmail_auth_delivery_locked(struct qmail_auth_delivery *delivery, uint64_t now, uint64_t unix_time, int error);

/* The lock is to be released: writes what came of the login into the memory of the account. `unix_time` is in seconds. */
void qmail_auth_delivery_release(struct qmail_auth_delivery *delivery, uint64_t unix_time);

/* There is a connection to the wanted address. `unix_time` is in seconds, to verify certificates by. */
void qmail_auth_delivery_connected(struct qmail_auth_delivery *delivery, uint64_t now, uint64_t unix_time);

/* There is no connection to it. */
void qmail_auth_delivery_not_connected(struct qmail_auth_delivery *delivery, int error);

/* The wanted source is no address of this machine. */
void qmail_auth_delivery_not_bound(struct qmail_auth_delivery *delivery, int error);

/* The server said this. What it said must be told before what was sent after it. */
void qmail_auth_delivery_received(struct qmail_auth_delivery *delivery, uint64_t now, const char *octets, size_t len);

/* The server closed, or receiving failed. */
void qmail_auth_delivery_closed(struct qmail_auth_delivery *delivery);

/* The kernel took this many of the wanted octets. */
void qmail_auth_delivery_sent(struct qmail_auth_delivery *delivery, uint64_t now, size_t count);

/* Sending failed. Go on receiving: what the server has said is wanted to its end. */
void qmail_auth_delivery_send_failed(struct qmail_auth_delivery *delivery);

/* The deadline passed, with nothing to receive and nothing taken. */
void qmail_auth_delivery_timed_out(struct qmail_auth_delivery *delivery);

/* The next piece of the message; its end for `len` 0. */
void qmail_auth_delivery_message(struct qmail_auth_delivery *delivery, const char *octets, size_t len);

/* The message cannot be read twice, so there is no prescan. */
void qmail_auth_delivery_not_prescanned(struct qmail_auth_delivery *delivery);

/* The message cannot be read. */
void qmail_auth_delivery_message_failed(struct qmail_auth_delivery *delivery, int error);

/* Random octets, in any number from 18 on. NULL: the system has none to give. */
void qmail_auth_delivery_random(struct qmail_auth_delivery *delivery, const char *octets, size_t len);

/* The program has ended with this status, as waitpid(2) has it, and printed this. `unix_time` is in seconds. */
void qmail_auth_delivery_ran(struct qmail_auth_delivery *delivery,
                             int status,
                             const char *printed,
                             size_t len,
                             uint64_t unix_time);

/* The program cannot be run; or where `error` is 0 it has not ended in time. `unix_time` is in seconds. */
void qmail_auth_delivery_not_run(struct qmail_auth_delivery *delivery, int error, uint64_t unix_time);

/* The connection is closed on our side. */
void qmail_auth_delivery_disconnected(struct qmail_auth_delivery *delivery, uint64_t now);

/* Prepares a check with main's arguments; the others as for qmail_auth_delivery_new, but `uid`, which is the effective one of
   the process. NULL where nothing is to be run: then `status`, which is not NULL, is set to the exit status, and what there
   is to say is written. */
struct qmail_auth_check *qmail_auth_check_new(int argc,
                                              const char *const *argv,
                                              const char *qmailhome,
                                              const char *cwd,
                                              const char *execfn,
                                              uint32_t uid,
                                              int *status);

/* Whether the process must become another user before the check begins. If so, sets `uid` and `gid`, which are not NULL. */
int qmail_auth_check_user(const struct qmail_auth_check *check,
                          uint32_t *uid,
                          uint32_t *gid);

/* Begins a check, which reads the control files, and frees `check`. NULL if `error` is not 0: it is errno of a process that could
   not become the user. Then the reason is written. Also NULL for NULL. */
struct qmail_auth_delivery *qmail_auth_check_start(struct qmail_auth_check *check,
                                                   int error);

/* The exit status of a check that is done: 0 when the mail would go out, else 1. */
int qmail_auth_check_status(const struct qmail_auth_delivery *check);

/* Prepares it with main's arguments; the others as for qmail_auth_check_new. NULL where nothing is to be run: then `status`, which is
   not NULL, is set to the exit status, and what there is to say is written. */
struct qmail_auth_oauth *qmail_auth_oauth_new(int argc,
                                              const char *const *argv,
                                              const char *qmailhome,
                                              const char *cwd,
                                              const char *execfn,
                                              uint32_t uid,
                                              int *status);

/* Whether the process must become another user before it starts. If so, sets `uid` and `gid`, which are not NULL. */
int qmail_auth_oauth_user(const struct qmail_auth_oauth *oauth, uint32_t *uid, uint32_t *gid);

/* Whether a signal to end is to be ignored: the process may be about to store what exists nowhere else. */
int qmail_auth_oauth_goes_on(const struct qmail_auth_oauth *oauth);

/* Begins, and frees `oauth`. `unix_time` is in seconds. NULL if `error` is not 0: it is errno of a process that could not become the
   user. Then `status`, which is not NULL, is set to the exit status, and the reason is written. Also NULL for NULL. */
struct qmail_auth_delivery *qmail_auth_oauth_start(struct qmail_auth_oauth *oauth,
                                                   int error,
                                                   uint64_t unix_time,
                                                   int *status);

/* The exit status, when it is done. */
int qmail_auth_oauth_status(const struct qmail_auth_delivery *oauth);

/* The file is prepared or replaced, or where `error` is not 0 it is not. */
void qmail_auth_oauth_stored(struct qmail_auth_delivery *oauth, int error);

/* Browsers can connect to this port, or where `error` is not 0 they cannot. */
void qmail_auth_oauth_listening(struct qmail_auth_delivery *oauth, int error, uint16_t port);

/* The octets of descriptor 0; its end for `len` 0. */
void qmail_auth_oauth_line(struct qmail_auth_delivery *oauth, const char *line, size_t len);

/* What the browser with this number, 0 to 3, has said. A browser that has connected has said nothing. */
void qmail_auth_oauth_browser(struct qmail_auth_delivery *oauth, size_t number, const char *said, size_t len);

/* The answer to the browser is sent, as far as that could be done. */
void qmail_auth_oauth_answered(struct qmail_auth_delivery *oauth);

/* The deadline passed; `now` is in milliseconds of the monotonic clock. */
void qmail_auth_oauth_timed_out(struct qmail_auth_delivery *oauth, uint64_t now);

#ifdef __cplusplus
}  /* extern "C" */
#endif  /* __cplusplus */

#endif  /* QMAIL_AUTH_DELIVERY_H */
