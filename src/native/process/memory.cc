// Gives back memory that only starting and configuring needed: code and constants of the program, and freed parts of
// the heap.

#include "process/memory.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

namespace carp {
namespace {

// Unmaps the program's pages that nothing writes to. The kernel keeps them in its page cache, where the program finds again
// what it uses; no page is lost, because a segment that is not writable equals the file.
int unmapProgram(dl_phdr_info* object, size_t, void*) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const auto& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W)) continue;
    const uintptr_t start = object->dlpi_addr + segment.p_vaddr;
    const uintptr_t from = (start + page - 1) & ~(page - 1);
    const uintptr_t to = (start + segment.p_filesz) & ~(page - 1);
    if (from < to) madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
  }
  // The first object is the program itself, which is by far the largest.
  return 1;
}

// giveBackMemory(): takes two or three milliseconds. Not on another thread: that one would hold the lock of the
// process's memory, and where processors are busy the main thread, of a higher priority, would wait for it long.
void giveBackMemory(const Napi::CallbackInfo&) {
  malloc_trim(0);
  dl_iterate_phdr(unmapProgram, nullptr);
}

}  // namespace

void initMemory(Napi::Env env, Napi::Object exports) {
  exports.Set("giveBackMemory", Napi::Function::New(env, giveBackMemory));
}

}  // namespace carp
