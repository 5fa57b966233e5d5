#!/bin/sh
# What the addon's build needs made first, into the directory named: carp.bpf.o, compiled for the kernel and stripped
# of everything but its types, and libbpf.a with the one symbol renamed that keeps it out of a shared object (see
# static_libraries.cc). CLANG and LLVM_STRIP may name other versions.
set -eu
cd "$(dirname "$0")"
output=$1
mkdir -p "$output"

# The kernel's headers of this machine lie in a directory of its own on Debian.
headers=/usr/include/$(${CC:-cc} -print-multiarch)
${CLANG:-clang} -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -Werror -I"$headers" -c carp.bpf.c -o "$output/carp.bpf.o"
${LLVM_STRIP:-llvm-strip} --strip-debug "$output/carp.bpf.o"

objcopy --redefine-sym stderr=carp_stderr "$(${CC:-cc} -print-file-name=libbpf.a)" "$output/libbpf.a"
