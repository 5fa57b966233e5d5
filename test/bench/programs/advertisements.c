/*
 * Notes when the advertisements of virtual MAC addresses arrive at a device, by the kernel's clock: advertisements
 * DEVICE. On the sender's own device no socket sees what was sent past its queues. Frames of other senders are left out
 * in the kernel: a flood of them costs next to nothing.
 *
 * After SIGTERM it prints, for each source and virtual host, a line SOURCE VHID COUNT MEAN_US LONGEST_US with the
 * intervals between its advertisements, and ends.
 */

#include <arpa/inet.h>
#include <err.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST 2048
#define CARP 112

struct heard {
  uint32_t source;
  uint8_t vhid;
  uint32_t count;
  int64_t first_ns, last_ns, longest_ns;
};

static struct heard all[MOST];
static int known;

static void note(uint32_t source, uint8_t vhid, int64_t at_ns) {
  int n = 0;
  while (n < known && (all[n].source != source || all[n].vhid != vhid)) n++;
  if (n == MOST) errx(1, "too many virtual hosts");
  struct heard *h = &all[n];
  if (n == known) {
    known++;
    *h = (struct heard){source, vhid, 0, at_ns, at_ns, 0};
  }
  h->count++;
  if (at_ns - h->last_ns > h->longest_ns) h->longest_ns = at_ns - h->last_ns;
  h->last_ns = at_ns;
}

int main(int argc, char **argv) {
  if (argc != 2) errx(2, "usage: advertisements DEVICE");
  /* IPv4, protocol 112, and the sender's address begins with 00:00:5e:00:01. */
  struct sock_filter lines[] = {
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),         BPF_JUMP(BPF_JMP | BPF_JEQ, ETH_P_IP, 0, 7),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23),         BPF_JUMP(BPF_JMP | BPF_JEQ, CARP, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 6),          BPF_JUMP(BPF_JMP | BPF_JEQ, 0x00005e00, 0, 3),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 10),         BPF_JUMP(BPF_JMP | BPF_JEQ, 1, 0, 1),
      BPF_STMT(BPF_RET, 256),                         BPF_STMT(BPF_RET, 0),
  };
  const struct sock_fprog filter = {sizeof lines / sizeof *lines, lines};
  const int s = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
  if (s < 0) err(1, "socket");
  const int on = 1, bytes = 32 << 20;
  if (setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter)) err(1, "SO_ATTACH_FILTER");
  if (setsockopt(s, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on)) err(1, "SO_TIMESTAMPNS");
  if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes)) err(1, "SO_RCVBUFFORCE");
  struct sockaddr_ll here = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
  here.sll_ifindex = if_nametoindex(argv[1]);
  if (here.sll_ifindex == 0) err(1, "%s", argv[1]);
  if (bind(s, (void *)&here, sizeof here)) err(1, "bind");
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGTERM);
  sigprocmask(SIG_BLOCK, &wanted, NULL);
  struct pollfd ready[] = {{s, POLLIN, 0}, {signalfd(-1, &wanted, SFD_NONBLOCK), POLLIN, 0}};
  puts("listening");
  fflush(stdout);

  while (!(ready[1].revents & POLLIN)) {
    poll(ready, 2, -1);
    for (;;) {
      uint8_t frame[256];
      char control[256];
      struct iovec into = {frame, sizeof frame};
      struct msghdr message = {.msg_iov = &into, .msg_iovlen = 1};
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      const ssize_t length = recvmsg(s, &message, 0);
      if (length < 0) break;
      if (length < 36) continue;
      int64_t at_ns = 0;
      for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
          struct timespec t;
          memcpy(&t, CMSG_DATA(c), sizeof t);
          at_ns = t.tv_sec * 1000000000LL + t.tv_nsec;
        }
      uint32_t source;
      memcpy(&source, frame + 26, sizeof source);
      note(source, frame[35], at_ns);
    }
  }
  struct tpacket_stats lost;
  socklen_t length = sizeof lost;
  if (getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &lost, &length)) err(1, "PACKET_STATISTICS");
  if (lost.tp_drops > 0) errx(1, "%u frames were lost before they were read", lost.tp_drops);
  for (int n = 0; n < known; n++) {
    struct heard *h = &all[n];
    const long long mean_us = h->count > 1 ? (h->last_ns - h->first_ns) / (h->count - 1) / 1000 : 0;
    const struct in_addr source = {h->source};
    printf("%s %u %u %lld %lld\n", inet_ntoa(source), h->vhid, h->count, mean_us, (long long)h->longest_ns / 1000);
  }
}
