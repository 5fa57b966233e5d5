// Threads of the addon.
#pragma once

#include <pthread.h>

#include <csignal>
#include <thread>

namespace carp {

// Starts a thread, which has this name (15 characters at most) and gets no signals: they are the main thread's.
template <typename Work>
std::thread startThread(const char* name, Work work) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread([name, work] {
    pthread_setname_np(pthread_self(), name);
    work();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace carp
