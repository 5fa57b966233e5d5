// Two symbols that keep Debian's libbpf.a and libelf.a, built for programs, out of a shared object: a reference to
// `stderr` as a program makes it, renamed by the build to point here, and a thread-local variable of a program's
// kind in libelf's error reporting, which these three functions stand in for. Nothing else belongs here.

#include <cstdio>

extern "C" {

__attribute__((visibility("hidden"))) FILE* carp_stderr = nullptr;

__attribute__((constructor)) static void setStderr() { carp_stderr = stderr; }

static thread_local int lastElfError;

__attribute__((visibility("hidden"))) void __libelf_seterrno(int error) { lastElfError = error; }

__attribute__((visibility("hidden"))) int elf_errno() {
  const int error = lastElfError;
  lastElfError = 0;
  return error;
}

__attribute__((visibility("hidden"))) const char* elf_errmsg(int) { return "malformed ELF object"; }

}
