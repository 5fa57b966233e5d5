/*
 * Sends one frame again and again at a rate, through a ring that it shares with the kernel: flood DEVICE FRAMES_A_SECOND
 * FRAME, the frame in hexadecimal digits. After SIGTERM it prints "sent COUNT MICROSECONDS" and ends.
 */

#include <arpa/inet.h>
#include <err.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#define FRAME_BYTES 2048
#define FRAMES 512
#define AT_ONCE 64

static volatile sig_atomic_t over;

static void end(int signal) {
  (void)signal;
  over = 1;
}

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 4 || atol(argv[2]) <= 0) errx(2, "usage: flood DEVICE FRAMES_A_SECOND FRAME");
  const int64_t rate = atol(argv[2]);
  uint8_t frame[1514];
  size_t length = 0;
  for (const char *digits = argv[3]; length < sizeof frame && sscanf(digits, "%2hhx", &frame[length]) == 1; digits += 2)
    length++;
  if (length < ETH_HLEN) errx(2, "%s: must be a frame", argv[3]);

  const int s = socket(AF_PACKET, SOCK_RAW, 0);
  if (s < 0) err(1, "socket");
  const int version = TPACKET_V2, on = 1;
  const struct tpacket_req ring = {FRAME_BYTES * FRAMES, 1, FRAME_BYTES, FRAMES};
  if (setsockopt(s, SOL_PACKET, PACKET_VERSION, &version, sizeof version)) err(1, "PACKET_VERSION");
  if (setsockopt(s, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on)) err(1, "PACKET_QDISC_BYPASS");
  if (setsockopt(s, SOL_PACKET, PACKET_TX_RING, &ring, sizeof ring)) err(1, "PACKET_TX_RING");
  char *frames = mmap(NULL, FRAME_BYTES * FRAMES, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0);
  if (frames == MAP_FAILED) err(1, "mmap");
  struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_halen = ETH_ALEN};
  to.sll_ifindex = if_nametoindex(argv[1]);
  if (to.sll_ifindex == 0) err(1, "%s", argv[1]);
  if (bind(s, (void *)&to, sizeof to)) err(1, "bind");
  /* The attacker is another machine: nothing here keeps it from sending. */
  const struct sched_param first = {.sched_priority = 1};
  if (sched_setscheduler(0, SCHED_FIFO, &first)) err(1, "sched_setscheduler");
  signal(SIGTERM, end);
  signal(SIGINT, end);

  const int64_t began_ns = now_ns();
  int64_t queued = 0;
  while (!over) {
    const int64_t due = (now_ns() - began_ns) * rate / 1000000000 - queued;
    if (due < AT_ONCE) {
      const struct timespec rest = {0, (AT_ONCE - due) * 1000000000 / rate};
      nanosleep(&rest, NULL);
      continue;
    }
    int n = 0;
    for (; n < AT_ONCE; n++) {
      struct tpacket2_hdr *header = (void *)(frames + FRAME_BYTES * (queued % FRAMES));
      if (header->tp_status != TP_STATUS_AVAILABLE) break;
      memcpy((char *)header + TPACKET2_HDRLEN - sizeof(struct sockaddr_ll), frame, length);
      header->tp_len = length;
      header->tp_status = TP_STATUS_SEND_REQUEST;
      queued++;
    }
    /* A flood fills the queues on its way: ENOBUFS is expected. */
    (void)!send(s, NULL, 0, MSG_DONTWAIT);
  }
  printf("sent %lld %lld\n", (long long)queued, (long long)(now_ns() - began_ns) / 1000);
}
