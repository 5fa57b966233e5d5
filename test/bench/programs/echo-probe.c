/*
 * Sends an echo request to each address at fixed times, whether answers come or not, and notes when the kernel received
 * the answers: echo-probe PERIOD_US ADDRESS...
 *
 * It prints "sending", and after SIGUSR1 "answered" when every address has answered a request that was sent after the
 * signal. After SIGTERM it waits for late answers, prints a line for each address, and ends:
 *
 *   ADDRESS SENT LOST TWICE LONGEST_GAP_US PAUSE_US
 *
 * The gap is between two answers, or from the last one to the end. The pause is the longest one between two requests in
 * that gap: when it is longer than the period, this program was held up itself.
 */

#include <arpa/inet.h>
#include <err.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MOST_ADDRESSES 256
#define LATE_MS 1000

/* What follows the header of ICMP: raw sockets receive the answers of every program. */
struct payload {
  uint32_t program, address, number, unused;
};

struct probed {
  const char *name;
  int family;
  struct sockaddr_storage to;
  socklen_t length;
  /* How often each request was answered. */
  uint8_t *answers;
  uint32_t sent, room;
  /* The first request that was sent after SIGUSR1. */
  uint32_t awaited;
  int is_awaited;
  int64_t last_ns, gap_ns;
  /* The longest pause since the last answer, and in the longest gap. */
  int64_t pause_ns, gap_pause_ns;
};

static struct probed all[MOST_ADDRESSES];
static int count, awaited;
static int sockets[2];

static int64_t now_ns(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int open_socket(int family) {
  int s = socket(family, SOCK_RAW | SOCK_NONBLOCK, family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
  if (s < 0) err(1, "socket");
  const int on = 1, bytes = 8 << 20;
  if (setsockopt(s, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on)) err(1, "SO_TIMESTAMPNS");
  if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes)) err(1, "SO_RCVBUFFORCE");
  if (family == AF_INET) {
    struct icmp_filter only = {~(1U << ICMP_ECHOREPLY)};
    if (setsockopt(s, SOL_RAW, ICMP_FILTER, &only, sizeof only)) err(1, "ICMP_FILTER");
  } else {
    struct icmp6_filter only;
    ICMP6_FILTER_SETBLOCKALL(&only);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &only);
    if (setsockopt(s, IPPROTO_ICMPV6, ICMP6_FILTER, &only, sizeof only)) err(1, "ICMP6_FILTER");
  }
  return s;
}

static void add(const char *name) {
  struct probed *p = &all[count++];
  struct sockaddr_in *to4 = (struct sockaddr_in *)&p->to;
  struct sockaddr_in6 *to6 = (struct sockaddr_in6 *)&p->to;
  p->name = name;
  if (inet_pton(AF_INET, name, &to4->sin_addr) == 1) {
    p->family = to4->sin_family = AF_INET;
    p->length = sizeof *to4;
  } else if (inet_pton(AF_INET6, name, &to6->sin6_addr) == 1) {
    p->family = to6->sin6_family = AF_INET6;
    p->length = sizeof *to6;
  } else
    errx(2, "%s: must be an IPv4 or IPv6 address", name);
}

static uint16_t checksum(const uint16_t *words, size_t bytes) {
  uint32_t sum = 0;
  for (; bytes > 1; bytes -= 2) sum += *words++;
  sum = (sum >> 16) + (sum & 0xffff);
  return ~(sum + (sum >> 16));
}

static void ask(int n) {
  struct probed *p = &all[n];
  struct {
    struct icmphdr header;
    struct payload payload;
  } request = {.payload = {getpid(), n, p->sent, 0}};
  if (p->sent == p->room) {
    p->room = p->room ? 2 * p->room : 1 << 16;
    p->answers = realloc(p->answers, p->room);
    if (!p->answers) err(1, "realloc");
  }
  p->answers[p->sent++] = 0;
  request.header.type = p->family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
  request.header.un.echo.id = htons(getpid());
  request.header.un.echo.sequence = htons(request.payload.number);
  /* For IPv6 the kernel does it. */
  if (p->family == AF_INET) request.header.checksum = checksum((void *)&request, sizeof request);
  /* An address that cannot be reached is one that does not answer. */
  (void)!sendto(sockets[p->family == AF_INET6], &request, sizeof request, 0, (void *)&p->to, p->length);
}

static void note_gap(struct probed *p, int64_t until_ns) {
  if (p->last_ns && until_ns - p->last_ns > p->gap_ns) {
    p->gap_ns = until_ns - p->last_ns;
    p->gap_pause_ns = p->pause_ns;
  }
}

static void hear(int s, int family) {
  char bytes[256], control[256];
  for (;;) {
    struct iovec into = {bytes, sizeof bytes};
    struct msghdr message = {.msg_iov = &into, .msg_iovlen = 1};
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t length = recvmsg(s, &message, 0);
    if (length < 0) return;
    const size_t ip = family == AF_INET ? (size_t)((struct iphdr *)bytes)->ihl * 4 : 0;
    struct payload payload;
    if ((size_t)length < ip + sizeof(struct icmphdr) + sizeof payload) continue;
    memcpy(&payload, bytes + ip + sizeof(struct icmphdr), sizeof payload);
    if (payload.program != (uint32_t)getpid() || payload.address >= (uint32_t)count) continue;
    struct probed *p = &all[payload.address];
    if (payload.number >= p->sent) continue;
    int64_t at_ns = now_ns(CLOCK_REALTIME);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
      if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
        struct timespec t;
        memcpy(&t, CMSG_DATA(c), sizeof t);
        at_ns = t.tv_sec * 1000000000LL + t.tv_nsec;
      }
    if (p->answers[payload.number] < 255) p->answers[payload.number]++;
    note_gap(p, at_ns);
    p->last_ns = at_ns;
    p->pause_ns = 0;
    if (p->is_awaited && payload.number >= p->awaited) {
      p->is_awaited = 0;
      if (--awaited == 0) puts("answered");
    }
  }
}

int main(int argc, char **argv) {
  if (argc < 3 || argc - 2 > MOST_ADDRESSES || atol(argv[1]) <= 0) errx(2, "usage: echo-probe PERIOD_US ADDRESS...");
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (int n = 2; n < argc; n++) add(argv[n]);
  sockets[0] = open_socket(AF_INET);
  sockets[1] = open_socket(AF_INET6);
  /* A probe that waits for a processor would measure that. */
  const struct sched_param first = {.sched_priority = 1};
  if (sched_setscheduler(0, SCHED_FIFO, &first)) err(1, "sched_setscheduler");

  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGUSR1);
  sigaddset(&wanted, SIGTERM);
  sigprocmask(SIG_BLOCK, &wanted, NULL);
  const int64_t period_ns = atol(argv[1]) * 1000;
  const struct timespec period = {period_ns / 1000000000, period_ns % 1000000000};
  const struct itimerspec times = {period, period};
  struct pollfd ready[] = {
      {sockets[0], POLLIN, 0},
      {sockets[1], POLLIN, 0},
      {timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), POLLIN, 0},
      {signalfd(-1, &wanted, SFD_NONBLOCK), POLLIN, 0},
  };
  if (timerfd_settime(ready[2].fd, 0, &times, NULL)) err(1, "timerfd_settime");

  puts("sending");

  int64_t last_ns = 0, end_ns = 0;
  while (!end_ns || now_ns(CLOCK_MONOTONIC) < end_ns) {
    poll(ready, 4, end_ns ? 20 : -1);
    hear(sockets[0], AF_INET);
    hear(sockets[1], AF_INET6);
    uint64_t due;
    if (!end_ns && read(ready[2].fd, &due, sizeof due) == sizeof due) {
      const int64_t at_ns = now_ns(CLOCK_MONOTONIC);
      for (int n = 0; n < count; n++) {
        if (last_ns && at_ns - last_ns > all[n].pause_ns) all[n].pause_ns = at_ns - last_ns;
        ask(n);
      }
      last_ns = at_ns;
    }
    struct signalfd_siginfo signal;
    if (read(ready[3].fd, &signal, sizeof signal) != sizeof signal) continue;
    if (signal.ssi_signo == SIGTERM) {
      const struct itimerspec never = {0};
      timerfd_settime(ready[2].fd, 0, &never, NULL);
      end_ns = now_ns(CLOCK_MONOTONIC) + LATE_MS * 1000000LL;
      const int64_t stopped_ns = now_ns(CLOCK_REALTIME);
      for (int n = 0; n < count; n++) note_gap(&all[n], stopped_ns);
    } else {
      awaited = count;
      for (int n = 0; n < count; n++) {
        all[n].is_awaited = 1;
        all[n].awaited = all[n].sent;
      }
    }
  }
  for (int n = 0; n < count; n++) {
    uint32_t lost = 0, twice = 0;
    for (uint32_t i = 0; i < all[n].sent; i++) {
      lost += all[n].answers[i] == 0;
      twice += all[n].answers[i] > 1;
    }
    printf("%s %u %u %u ", all[n].name, all[n].sent, lost, twice);
    printf("%lld %lld\n", (long long)all[n].gap_ns / 1000, (long long)all[n].gap_pause_ns / 1000);
  }
}
