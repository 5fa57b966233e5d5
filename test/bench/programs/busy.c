/* Keeps a processor busy for a part of the time until it is killed: busy PROCESSOR PERCENT. */

#define _GNU_SOURCE
#include <err.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define PERIOD_NS 10000000LL

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 3) errx(2, "usage: busy PROCESSOR PERCENT");
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(atoi(argv[1]), &only);
  if (sched_setaffinity(0, sizeof only, &only)) err(1, "sched_setaffinity");
  const int64_t busy_ns = PERIOD_NS * atoi(argv[2]) / 100;
  for (;;) {
    const int64_t until_ns = now_ns() + busy_ns;
    while (now_ns() < until_ns) continue;
    const struct timespec rest = {0, PERIOD_NS - busy_ns};
    if (rest.tv_nsec > 0) nanosleep(&rest, NULL);
  }
}
