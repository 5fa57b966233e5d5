#!/bin/sh
# Makes, in the directory named, two inputs of the addon's build: carp.bpf.o, compiled for the kernel and stripped of
# everything but its types, and libbpf.a with one symbol renamed, so that it can be linked into a shared object (see
# static_libraries.cc). CLANG and LLVM_STRIP may name other versions; OBJCOPY and KERNEL_HEADERS, with CC, what another
# architecture needs.
set -eu
cd "$(dirname "$0")"
output=$1
mkdir -p "$output"

# Debian keeps the kernel's headers of each architecture in a directory of their own.
headers=${KERNEL_HEADERS:-/usr/include/$(${CC:-cc} -print-multiarch)}
${CLANG:-clang} -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -Werror -I"$headers" -c carp.bpf.c -o "$output/carp.bpf.o"
${LLVM_STRIP:-llvm-strip} --strip-debug "$output/carp.bpf.o"

${OBJCOPY:-objcopy} --redefine-sym stderr=carp_stderr "$(${CC:-cc} -print-file-name=libbpf.a)" "$output/libbpf.a"
