/*
 * Measures what the machine takes for memory that was not touched for a second: cold MEGABYTES. A virtual machine's may
 * have to be mapped anew then, which no program on it is told of.
 *
 * Touches each page of 4 KiB once a second. After SIGTERM it prints the mean of all in microseconds, and ends.
 */

#define _GNU_SOURCE
#include <err.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE_BYTES 4096

static int64_t nowNs(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 2) errx(2, "usage: cold MEGABYTES");
  const size_t bytes = strtoul(argv[1], NULL, 10) << 20;
  volatile uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) err(1, "mmap");
  madvise((void *)memory, bytes, MADV_NOHUGEPAGE);
  memset((void *)memory, 1, bytes);
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGTERM);
  sigprocmask(SIG_BLOCK, &wanted, NULL);
  const struct timespec second = {1, 0};
  int64_t spentNs = 0, touched = 0;
  while (sigtimedwait(&wanted, NULL, &second) < 0) {
    const int64_t fromNs = nowNs();
    for (size_t at = 0; at < bytes; at += PAGE_BYTES) memory[at]++;
    spentNs += nowNs() - fromNs;
    touched += (int64_t)(bytes / PAGE_BYTES);
  }
  printf("%.3f\n", touched == 0 ? 0 : (double)spentNs / (double)touched / 1000);
  return 0;
}
