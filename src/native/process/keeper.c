// The keeper: a process that an engine starts before it drops its privileges, and that keeps them. It takes four
// orders, each a byte on the socket that is its descriptor 3, and does nothing else:
//
//   r  start the runner, whose descriptor 3 is the socket that comes with the byte
//   k  kill it
//   m  mount the bpffs, unless one is mounted
//   u  unmount it
//
// It answers with lines: "ended STATUS" (as from waitpid, or -ERRNO when it could not be started),
// "mounted ERRNO" and "unmounted ERRNO".
// The runner's command line and the path of the bpffs are its own arguments, fixed by the engine while that had all
// privileges. It ends when the other end of the socket is closed.
//
// carp-keeper BPFFS PROGRAM WORD...

#define _GNU_SOURCE

#include <errno.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENGINE = 3 };

static pid_t runner;

static void say(const char* what, int number) {
  char line[64];
  const int length = snprintf(line, sizeof line, "%s %d\n", what, number);
  // The engine is gone, or does not read answers to its own orders.
  if (send(ENGINE, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) != length) exit(1);
}

// Reads an order, and the descriptor that came with it or -1. 0: the engine is gone.
static char receive(int* descriptor) {
  char order = 0;
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec bytes = {&order, 1};
  struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t length;
  *descriptor = -1;
  do {
    length = recvmsg(ENGINE, &message, MSG_CMSG_CLOEXEC);
  } while (length < 0 && errno == EINTR);
  if (length <= 0) return 0;
  const struct cmsghdr* found = CMSG_FIRSTHDR(&message);
  if (found != NULL && found->cmsg_level == SOL_SOCKET && found->cmsg_type == SCM_RIGHTS &&
      found->cmsg_len == CMSG_LEN(sizeof(int)))
    memcpy(descriptor, CMSG_DATA(found), sizeof(int));
  return order;
}

static void start(char* const* words, int descriptor, const sigset_t* signals) {
  if (descriptor < 0 || runner > 0) return say("ended", -EINVAL);
  runner = fork();
  if (runner < 0) return say("ended", -errno);
  if (runner > 0) return;
  // In a session of its own, as the engine's other children are.
  setsid();
  sigprocmask(SIG_UNBLOCK, signals, NULL);
  if (dup2(descriptor, ENGINE) < 0) _exit(126);
  execv(words[0], words);
  _exit(127);
}

// Not on top of another bpffs, which would hide its pins.
static int mount_bpf(const char* path) {
  struct statfs found;
  if (mkdir(path, 0700) < 0 && errno != EEXIST) return errno;
  if (statfs(path, &found) < 0) return errno;
  if ((unsigned)found.f_type == BPF_FS_MAGIC) return 0;
  return mount("bpf", path, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0 ? errno : 0;
}

static void reap(void) {
  int status;
  const pid_t ended = waitpid(-1, &status, WNOHANG);
  if (ended <= 0 || ended != runner) return;
  runner = 0;
  say("ended", status);
}

int main(int count, char** words) {
  static char last[] = "runner";
  char** program = calloc((size_t)count + 1, sizeof *program);
  sigset_t signals;
  if (count < 3 || program == NULL) return 1;
  memcpy(program, words + 2, (size_t)(count - 2) * sizeof *program);
  program[count - 2] = last;

  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  const int children = signalfd(-1, &signals, SFD_CLOEXEC);
  // Signals to the whole service end the engine; the keeper ends after it.
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  if (children < 0) return 1;
  struct pollfd watched[] = {{ENGINE, POLLIN, 0}, {children, POLLIN, 0}};
  for (;;) {
    if (poll(watched, 2, -1) < 0) continue;
    if (watched[1].revents != 0) {
      struct signalfd_siginfo one;
      if (read(children, &one, sizeof one) > 0) reap();
    }
    if (watched[0].revents == 0) continue;
    int descriptor;
    const char order = receive(&descriptor);
    if (order == 0) return 0;
    if (order == 'r') start(program, descriptor, &signals);
    if (order == 'k' && runner > 0) kill(runner, SIGKILL);
    if (order == 'm') say("mounted", mount_bpf(words[1]));
    if (order == 'u') say("unmounted", umount2(words[1], MNT_DETACH | UMOUNT_NOFOLLOW) < 0 ? errno : 0);
    if (descriptor >= 0) close(descriptor);
  }
}
