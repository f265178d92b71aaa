#!/bin/sh
# The main job on real files: track, push to a directory remote, clone, pull, change, go back. Usage: demo.sh BINARY
set -eu
bin=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
top=$(mktemp -d)
trap 'mv "$top" "$top.done" && rm -rf "$top.done"' EXIT
export HOME="$top" GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=demo GIT_AUTHOR_EMAIL=demo@example.org \
	GIT_COMMITTER_NAME=demo GIT_COMMITTER_EMAIL=demo@example.org PATH="$(dirname "$bin"):$PATH"

run () { printf '\n$ %s\n' "$*"; "$@"; }
ms () { date +%s%N | cut -c1-13; }
timed () { t0=$(ms); run "$@"; printf '  (%d ms)\n' $(($(ms) - t0)); }

mkdir "$top/project" && cd "$top/project"
git init -q -b main .
run git data init -q
# Real files: every header and library list of this system, and one large file.
mkdir data && cp -rL /usr/include data/headers 2>/dev/null || cp -r /etc data/headers 2>/dev/null || true
find data \( -type l -o -type p -o -type s \) -delete
dd if=/dev/urandom of=model.bin bs=1M count=64 2>/dev/null
printf '\n%s files, %s in data/, and a 64 MiB model.bin\n' "$(find data -type f | wc -l)" "$(du -sh data | cut -f1)"

timed git data add data model.bin
run cat data.dvc
run git data remote add -d store "$top/store"
run git add -A
run git commit -q -m 'track data'
timed git data push
timed git data push
timed git data status

run git clone -q "$top/project" "$top/clone"
cd "$top/clone"
timed git data pull
diff -r "$top/project/data" data && cmp "$top/project/model.bin" model.bin && echo 'the clone has every byte'

echo changed >> model.bin
run git data status
run git data checkout -f model.bin.dvc
cmp "$top/project/model.bin" model.bin
run git data status
printf '\ndemo: done, everything compared equal\n'
