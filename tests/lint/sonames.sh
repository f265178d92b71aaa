#!/bin/sh
# Prints #define SONAME_X "libx.so.N" for each library that is opened at first use.
# An empty program linked against the development library names the soname in its dynamic section.
set -e
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
echo 'int main(void){return 0;}' >"$tmp/a.c"
for row in GIT2:git2 CURL:curl SSH2:ssh2 CRYPTO:crypto EXPAT:expat ZSTD:zstd; do
	lib=${row#*:}
	${CC:-cc} "$tmp/a.c" -o "$tmp/a" -Wl,--no-as-needed -l"$lib"
	so=$(LC_ALL=C objdump -p "$tmp/a" | awk -v l="lib$lib" '/NEEDED/ && index($2, l) == 1 {print $2; exit}')
	[ -n "$so" ] || { echo "no soname for lib$lib" >&2; exit 1; }
	echo "#define SONAME_${row%%:*} \"$so\""
done
