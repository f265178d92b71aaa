#!/bin/bash
# Everything CI runs, stage by stage; the last line is "N passed, N failed".
#   tests/check.sh            all stages
#   tests/check.sh unit e2e   only these
set -u
cd "$(dirname "$0")/.."
out=build/check
mkdir -p "$out"
passed=0 failed=0
jobs=$(nproc)
export GIT_DATA="$PWD/build/release/git-data"
[ -z "${DVC:-}" ] && [ -x .venv/bin/dvc ] && export DVC="$PWD/.venv/bin/dvc"
PY=${PY:-.venv/bin/python}
[ -d .venv/node/node_modules/.bin ] && PATH="$PWD/.venv/node/node_modules/.bin:$PATH"
PATH="$PWD/.venv/bin:$PATH"
export PATH

one () {                # one NAME COMMAND...: a stage that passes or fails as a whole
	name=$1; shift
	start=$(date +%s)
	if "$@" >"$out/$name.log" 2>&1; then
		passed=$((passed + 1)); verdict=ok
	else
		failed=$((failed + 1)); verdict=FAILED
		tail -n 40 "$out/$name.log"
	fi
	echo "== $name: $verdict ($(($(date +%s) - start)) s)"
}

cmocka () {             # cmocka NAME DIR: every unit test binary below DIR
	name=$1 dir=$2 start=$(date +%s) bad=0 good=0
	for t in "$dir"/tests/unit/test_*; do
		case $t in *.d|*.o) continue;; esac
		[ -x "$t" ] || continue
		log=$out/$name-${t##*/}.log
		if timeout 600 "$t" >"$log" 2>&1; then rc=0; else rc=$?; fi
		p=$(grep -ac '^\[       OK \]' "$log") f=$(grep -ac '^\[  FAILED  \] [a-zA-Z_0-9]*$' "$log")
		[ $rc != 0 ] && [ "$f" = 0 ] && f=1
		good=$((good + p)) bad=$((bad + f))
		[ $rc = 0 ] || { echo "-- ${t##*/} (exit $rc)"; tail -n 30 "$log"; }
	done
	passed=$((passed + good)) failed=$((failed + bad))
	echo "== $name: $good passed, $bad failed ($(($(date +%s) - start)) s)"
}

py () {                 # py NAME ARGS...: a pytest run
	name=$1; shift
	start=$(date +%s)
	timeout "${PYTEST_TIMEOUT:-2400}" "$PY" -m pytest -n "${PYTEST_JOBS:-$((jobs + 1))}" --junitxml="$out/$name.xml" "$@" \
		>"$out/$name.log" 2>&1
	rc=$?
	set -- $("$PY" - "$out/$name.xml" <<-'EOF'
	import sys, xml.etree.ElementTree as E
	try:
	    s = E.parse(sys.argv[1]).getroot().find("testsuite")
	    bad = int(s.get("failures")) + int(s.get("errors"))
	    print(int(s.get("tests")) - bad - int(s.get("skipped")), bad)
	except Exception:
	    print(0, 1)
	EOF
	)
	good=$1 bad=$2
	[ $rc = 0 ] || [ "$bad" != 0 ] || bad=1
	[ "$bad" = 0 ] || { grep -aE '^(FAILED|ERROR|E  )' "$out/$name.log" | head -n 60; tail -n 15 "$out/$name.log"; }
	passed=$((passed + good)) failed=$((failed + bad))
	echo "== $name: $good passed, $bad failed ($(($(date +%s) - start)) s)"
}

stage_lint () {
	one layers sh tests/lint/layers.sh
	one style sh tests/lint/style.sh
	one headers make -s check-headers
	one manual sh tests/lint/help.sh
}
stage_unit () { one build-unit make -s -j"$jobs" unit-build; cmocka unit build/release; }
stage_clang () { one clang make -s -j"$jobs" CC=clang BUILD=build/clang all; }
stage_e2e () { py e2e tests/e2e tests/remote; }
stage_interop () { py interop tests/interop; }
stage_asan () {
	one build-asan make -s -j"$jobs" SANITIZE=address,undefined all unit-build
	ASAN_OPTIONS=detect_leaks=0 cmocka asan-unit build/address-undefined
	# Every scenario once more, each with dozens of commands, under both sanitizers.
	GIT_DATA="$PWD/build/address-undefined/git-data" ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
		py asan-scenarios tests/interop/test_scenarios.py
}
stage_tsan () {
	one build-tsan make -s -j"$jobs" SANITIZE=thread all unit-build
	cmocka tsan-unit build/thread
}
stage_fuzz () { one fuzz make -s fuzz-smoke FUZZ_SECONDS="${FUZZ_SECONDS:-5}"; }

make -s -j"$jobs" all || { echo "0 passed, 1 failed"; exit 1; }
if [ $# = 0 ]; then
	set -- lint unit clang e2e interop asan tsan fuzz
fi
for s in "$@"; do
	"stage_$s"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
