/*
 * Notes how late timers ring that nothing else on the machine may delay, on each processor: what is left is the machine
 * itself, whose processors may be taken away for a while: pauses LIMIT_US.
 *
 * After SIGTERM it prints a line COUNT LONGEST_US: how often a timer was later than the limit, and the latest, and ends.
 */

#define _GNU_SOURCE
#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_NS 1000000LL

static int64_t limit_ns;
static atomic_llong count, longest_ns;

static void *ring(void *processor) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET((int)(intptr_t)processor, &only);
  if (sched_setaffinity(0, sizeof only, &only)) err(1, "sched_setaffinity");
  const struct sched_param first = {.sched_priority = sched_get_priority_max(SCHED_FIFO)};
  if (sched_setscheduler(0, SCHED_FIFO, &first)) err(1, "sched_setscheduler");
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  int64_t due_ns = t.tv_sec * 1000000000LL + t.tv_nsec;
  for (;;) {
    due_ns += PERIOD_NS;
    t = (struct timespec){due_ns / 1000000000, due_ns % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    clock_gettime(CLOCK_MONOTONIC, &t);
    const int64_t now_ns = t.tv_sec * 1000000000LL + t.tv_nsec;
    const int64_t late_ns = now_ns - due_ns;
    if (late_ns > limit_ns) count++;
    long long longest = longest_ns;
    while (late_ns > longest && !atomic_compare_exchange_weak(&longest_ns, &longest, late_ns)) continue;
    if (late_ns > PERIOD_NS) due_ns = now_ns;
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 2) errx(2, "usage: pauses LIMIT_US");
  limit_ns = atoll(argv[1]) * 1000;
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &wanted, NULL);
  for (intptr_t n = 0; n < sysconf(_SC_NPROCESSORS_ONLN); n++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, ring, (void *)n)) errx(1, "pthread_create");
  }
  int signal;
  sigwait(&wanted, &signal);
  printf("%lld %lld\n", (long long)count, (long long)longest_ns / 1000);
  return 0;
}
