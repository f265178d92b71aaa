#!/bin/sh
# Replays each target's corpus, then fuzzes it from a fixed seed for some seconds at most. Usage: smoke.sh BUILD SECONDS TARGET...
set -u
dir=$1 seconds=$2
shift 2
bad=0
for t in "$@"; do
	seeds=tests/fuzz/corpus/${t#fuzz_}
	[ -d "$seeds" ] || seeds=
	work=$dir/corpus-$t
	mkdir -p "$work"
	if ASAN_OPTIONS=detect_leaks=0 "$dir/$t" -seed=1 -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 -verbosity=0 \
		-artifact_prefix="$dir/crash-$t-" "$work" $seeds >"$dir/$t.log" 2>&1; then
		echo "$t: ok"
	else
		echo "$t: FAILED"
		tail -n 30 "$dir/$t.log"
		bad=1
	fi
done
exit $bad
