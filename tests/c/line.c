/*
 * A line between two network namespaces: what comes out of one TUN device goes into the other a fixed time later. What is on it are IP
 * packets, so that TCP at both ends does as it does between two machines; a proxy would hide what one end waits for of the other.
 *
 *     line MICROSECONDS
 *
 * The device "near" is in the namespace that it is started in, "far" in a new one, which is that of this process. An empty line on
 * stdout says that both are there; then comes a line for each packet: its end of origin (N or F), when it came in (nanoseconds of
 * the monotonic clock), and its octets. All ends with stdin.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { NEAR, FAR, STDIN, ENDS = STDIN };

struct packet {
    struct packet *next;
    long long due;
    int to;
    size_t length;
    char octets[];
};

/* In the order in which they are due, since all take the same time. */
static struct packet *first, **last = &first;

static long long nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int device(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
        err(1, "/dev/net/tun, %s", name);
    return fd;
}

/* Takes in all that is at this end. */
static void take(int fd, int end, long long delay)
{
    static char octets[65536];
    ssize_t length;
    while ((length = read(fd, octets, sizeof octets)) > 0) {
        long long now = nanoseconds();
        struct packet *packet = malloc(sizeof *packet + (size_t)length);
        if (!packet)
            err(1, "a packet");
        packet->next = NULL;
        packet->due = now + delay;
        packet->to = end == NEAR ? FAR : NEAR;
        packet->length = (size_t)length;
        memcpy(packet->octets, octets, (size_t)length);
        *last = packet;
        last = &packet->next;
        printf("%c %lld %zd\n", end == NEAR ? 'N' : 'F', now, length);
    }
}

/* Gives out all that is due. One that its end does not take is lost, as on any line. */
static void give(const struct pollfd *ends)
{
    while (first && first->due <= nanoseconds()) {
        struct packet *packet = first;
        ssize_t given = write(ends[packet->to].fd, packet->octets, packet->length);
        (void)given;
        first = packet->next;
        if (!first)
            last = &first;
        free(packet);
    }
}

/* Until something comes or is due. */
static void wait_for_more(struct pollfd *ends)
{
    struct timespec left = {0};
    if (first) {
        long long due = first->due - nanoseconds();
        left.tv_sec = due > 0 ? due / 1000000000 : 0;
        left.tv_nsec = due > 0 ? due % 1000000000 : 0;
    }
    if (ppoll(ends, ENDS + 1, first ? &left : NULL, NULL) < 0)
        err(1, "poll");
}

int main(int argc, char **argv)
{
    struct pollfd ends[ENDS + 1] = {{.events = POLLIN}, {.events = POLLIN}, {.events = POLLIN}};
    if (argc != 2)
        errx(2, "usage: line MICROSECONDS");
    ends[NEAR].fd = device("near");
    if (unshare(CLONE_NEWNET) < 0)
        err(1, "a network namespace");
    ends[FAR].fd = device("far");
    ends[STDIN].fd = 0;
    puts("");
    while (!ends[STDIN].revents) {
        fflush(stdout);
        wait_for_more(ends);
        take(ends[NEAR].fd, NEAR, atol(argv[1]) * 1000LL);
        take(ends[FAR].fd, FAR, atol(argv[1]) * 1000LL);
        give(ends);
    }
    return 0;
}
