#!/bin/sh
# Builds build/Release/carp.node when it is missing or older than a source. Needs g++, make, python3, the npm packages
# and the tools of bpf.sh; downloads nothing: the nodedir beside this file stands in for Node's headers.
set -eu
cd "$(dirname "$0")"
modules=$(cd ../../node_modules && pwd -P)
output=build/Release/carp.node

current() {
	[ -f "$output" ] && [ -z "$(find . -path ./build -prune -o -type f -newer "$output" -print | head -n 1)" ]
}

current && exit 0
mkdir -p build
# Two builds at once would remove each other's objects. The lock is this script: a rebuild removes build/.
exec 9<build.sh
if command -v flock >/dev/null; then flock 9; fi
current && exit 0

# The environment is emptied because node-gyp lets npm_config_nodedir and its like override the command line.
env -i PATH="$PATH" HOME="${HOME:-/}" TMPDIR="${TMPDIR:-/tmp}" ${CC:+"CC=$CC"} ${CXX:+"CXX=$CXX"} \
	${CLANG:+"CLANG=$CLANG"} ${LLVM_STRIP:+"LLVM_STRIP=$LLVM_STRIP"} \
	"$modules/.bin/node" "$modules/node-gyp/bin/node-gyp.js" rebuild \
	--directory "$PWD" --nodedir "$PWD/nodedir" --jobs max --loglevel error >&2 9<&-

# A symbol that Node does not have shows only when the addon is loaded.
"$modules/.bin/node" -e 'require(process.argv[1])' "$PWD/$output" || {
	rm -f "$output"
	exit 1
}
