/* The public ABI from C: every row of a file through auth_detect, the RFCs' examples, and each error. */

#include <stdio.h>
#include <string.h>

#include "qmail_auth.h"

static int wrong = 0;

static void check(int right, const char *what)
{
    if (!right) {
        printf("wrong: %s\n", what);
        wrong = 1;
    }
}

static int is(const char *out, ptrdiff_t n, const char *expected)
{
    return n == (ptrdiff_t)strlen(expected) && memcmp(out, expected, strlen(expected)) == 0;
}

static int rows(const char *name)
{
    static char reply[65536];
    char id[16];
    unsigned bits;
    unsigned length;
    int count = 0;
    FILE *file = fopen(name, "rb");

    if (file == NULL)
        return 0;
    while (fscanf(file, "%15s %u %u", id, &bits, &length) == 3 && fgetc(file) == '\n') {
        if (length > sizeof reply || fread(reply, 1, length, file) != length)
            break;
        check(auth_detect(reply, length) == bits, id);
        count++;
    }
    fclose(file);
    return count;
}

static void examples(void)
{
    static const char challenge[] = "PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+";
    char out[64];
    ptrdiff_t n;

    n = auth_plain("tim", "tanstaaftanstaaf", out, sizeof out);
    check(is(out, n, "AHRpbQB0YW5zdGFhZnRhbnN0YWFm"), "PLAIN of RFC 4616");
    n = auth_cram("tim", "tanstaaftanstaaf", challenge, strlen(challenge), out, sizeof out);
    check(is(out, n, "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"), "CRAM-MD5 of RFC 2195");
    n = auth_login("tim", out, sizeof out);
    check(is(out, n, "dGlt"), "LOGIN");
    n = auth_login("", out, sizeof out);
    check(is(out, n, ""), "LOGIN of nothing");
}

static void errors(void)
{
    char out[64];

    memset(out, 'x', sizeof out);
    check(auth_plain("tim", "tanstaaftanstaaf", out, 27) == AUTH_ERROR_SPACE, "PLAIN, buffer of one less");
    check(out[0] == 'x', "nothing is written on an error");
    check(auth_plain("tim", "tanstaaftanstaaf", out, 28) == 28 && out[28] == 'x', "PLAIN, buffer of the length, no NUL");
    check(auth_login("tim", out, 3) == AUTH_ERROR_SPACE, "LOGIN, buffer of one less");
    check(auth_cram("tim", "x", "PDE4", 4, out, 47) == AUTH_ERROR_SPACE, "CRAM-MD5, buffer of one less");
    check(auth_cram("tim", "x", "Username:", 9, out, sizeof out) == AUTH_ERROR_CHALLENGE, "no base64");
    check(auth_cram("tim", "x", "PDE4 words", 10, out, sizeof out) == 48, "words behind the challenge");
    check(auth_plain(NULL, "x", out, sizeof out) == AUTH_ERROR_NULL, "PLAIN, NULL user");
    check(auth_plain("x", NULL, out, sizeof out) == AUTH_ERROR_NULL, "PLAIN, NULL password");
    check(auth_plain("x", "x", NULL, 64) == AUTH_ERROR_NULL, "PLAIN, NULL buffer");
    check(auth_login(NULL, out, sizeof out) == AUTH_ERROR_NULL, "LOGIN, NULL");
    check(auth_login("x", NULL, 64) == AUTH_ERROR_NULL, "LOGIN, NULL buffer");
    check(auth_cram(NULL, "x", "PDE4", 4, out, sizeof out) == AUTH_ERROR_NULL, "CRAM-MD5, NULL user");
    check(auth_cram("x", NULL, "PDE4", 4, out, sizeof out) == AUTH_ERROR_NULL, "CRAM-MD5, NULL password");
    check(auth_cram("x", "x", NULL, 4, out, sizeof out) == AUTH_ERROR_NULL, "CRAM-MD5, NULL challenge");
    check(auth_cram("x", "x", "PDE4", 4, NULL, 64) == AUTH_ERROR_NULL, "CRAM-MD5, NULL buffer");
    check(auth_detect(NULL, 4) == 0, "NULL reply");
    check(auth_detect("250 AUTH PLAIN\r\n", 0) == 0, "no reply");
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? rows(argv[1]) : 0;

    examples();
    errors();
    if (wrong == 0)
        printf("%d replies, all right\n", count);
    return wrong;
}
