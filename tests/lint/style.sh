#!/bin/sh
# Length of functions, files and lines; words and calls that do not belong here.
cd "$(dirname "$0")/../.."
bad=0
say () { echo "$@"; bad=1; }
for f in $(git ls-files 'cmd/*.c' 'core/*.c' 'remotes/*.c' 'cmd/*.h' 'core/*.h' 'remotes/*.h'); do
	n=$(wc -l <"$f")
	[ "$n" -le 1200 ] || say "$f: $n lines, at most 1200"
	long=$(awk 'length($0) > 130 {print FILENAME ":" FNR; exit}' "$f")
	[ -z "$long" ] || say "$long: line over 130 characters"
done
long=$(for f in $(git ls-files 'cmd/*.c' 'core/*.c' 'remotes/*.c'); do
	awk -v f="$f" '/^[A-Za-z_].*[^;]$/ && !/^(struct|enum|union|static const|#)/ {name=$0} /^\{/ {start=NR}
	/^\}/ {if (start && NR-start>120) print f ":" start ": " NR-start " lines: " name; start=0}' "$f"
done)
[ -z "$long" ] || say "functions over 120 lines:
$long"
words=$(git grep -nIE '\b(TODO|FIXME|XXX|HACK)\b' -- cmd core remotes man docs README.md) && say "unfinished:
$words"
prints=$(grep -rnE '\b(printf|puts|putchar|fprintf) ?\(' core remotes --include='*.c' | grep -vE 'core/base/own.c|open_memstream|fprintf\(tty, ') &&
say "only cmd/ui.c prints:
$prints"
exit $bad
