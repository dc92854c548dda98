/* Root becomes another user for good, with no group but that user's own, as qmail-start makes qmail-rspawn. */

#include <errno.h>
#include <grp.h>
#include <stddef.h>
#include <unistd.h>

#include "glue.h"

static int is_user(uid_t uid)
{
    uid_t real, effective, saved;

    return getresuid(&real, &effective, &saved) == 0 && real == uid && effective == uid && saved == uid;
}

static int is_group(gid_t gid)
{
    gid_t real, effective, saved, other;

    return getresgid(&real, &effective, &saved) == 0 && real == gid && effective == gid && saved == gid
           && getgroups(0, NULL) == 1 && getgroups(1, &other) == 1 && other == gid;
}

int become_user(uint32_t uid, uint32_t gid)
{
    const gid_t group = gid;

    if (setgroups(1, &group) == -1 || setgid(gid) == -1 || setuid(uid) == -1)
        return -1;
    if (!is_user(uid) || !is_group(gid) || setuid(0) == 0) { /* with CAP_SETUID left, others may be left, too */
        errno = EPERM;
        return -1;
    }
    no_core(); /* a change of the user can undo it: fs.suid_dumpable of proc(5) */
    return 0;
}
