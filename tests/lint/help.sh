#!/bin/sh
# Every command has a manual page; its synopsis is that of -h, and it names every option that -h shows.
cd "$(dirname "$0")/../.."
bin=${GIT_DATA:-build/release/git-data}
bad=0
check () {
	page=man/git-data-$(echo "$1" | tr ' ' '-').1
	[ -e "$page" ] || { echo "$1: no page $page"; bad=1; return; }
	mandoc -T lint -W error "$page" >/dev/null 2>&1 || { echo "$page: mandoc finds errors"; bad=1; }
	said=$("$bin" $1 -h | sed '/^$/q' | tr -s ' \n' ' ' | sed 's/^usage: //')
	page_says=$(sed -n '/^\.Sh SYNOPSIS/,/^\.Ed/p' "$page" | sed '/^\./d;s/\\-/-/g' | tr -s ' \n' ' ')
	[ "$said" = "$page_says" ] || { echo "$page: the synopsis is not that of -h"; bad=1; }
	for o in $("$bin" $1 -h | grep -oE -- '^  (-[A-Za-z][^,]*, )?--[a-z0-9-]+' | grep -oE -- '--[a-z0-9-]+' | sort -u); do
		case $o in --help|--quiet|--verbose) continue;; esac
		sed 's/\\-/-/g' "$page" | grep -q -- "$o" || { echo "$page: does not mention $o"; bad=1; }
	done
}
"$bin" completion --list-commands >build/commands.txt || exit 1
while read -r c; do
	check "$c"
done <build/commands.txt
for p in man/git-data.1 man/git-data-format.5 man/git-data-config.5; do
	mandoc -T lint -W error "$p" >/dev/null 2>&1 || { echo "$p: missing or not clean"; bad=1; }
done
exit $bad
