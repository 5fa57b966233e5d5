// Lets Debian's libbpf.a and libelf.a, built for programs, be linked into a shared object: replaces a reference to
// `stderr` in a program's form, which the build renames to carp_stderr; libelf's error functions, whose thread-local
// variable has a program's form; and two functions that Debian 13's libelf.a lacks. Nothing else belongs here.

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

// elfutils 0.192 (its bug 32293): the tree of what elf_getdata_rawchunk() returned, which nothing here calls, so it
// stays empty, as calloc() made it. Weak: a libelf.a that has them may be asked for them.
__attribute__((visibility("hidden"), weak)) void eu_search_tree_init(void*) {}
__attribute__((visibility("hidden"), weak)) void eu_search_tree_fini(void*, void (*)(void*)) {}

}
