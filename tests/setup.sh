#!/bin/sh
# Installs what a build or the tests need and what is missing, when it may (root, or sudo without a password).
#   tests/setup.sh build    compilers and libraries
#   tests/setup.sh test     build, and test tools, servers, the reference tool in .venv
set -eu
cd "$(dirname "$0")/.."
what=${1:-build}

build="gcc make pkg-config binutils libc6-dev git ca-certificates libgit2-dev libcurl4-openssl-dev libzstd-dev
 libssh2-1-dev libiniparser-dev libssl-dev libyaml-dev libjansson-dev libexpat1-dev liblmdb-dev"
test="libcmocka-dev clang libclang-rt-14-dev llvm python3 python3-venv python3-pip nginx-light libnginx-mod-http-dav-ext
 openssh-server openssh-client rclone procps mandoc strace time python3-sklearn"

as_root () {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
		sudo -n "$@"
	else
		return 1
	fi
}

missing () {
	for p in "$@"; do
		dpkg-query -W -f='${Status}\n' "$p" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$p"
	done
}

packages () {
	need=$(missing "$@")
	[ -n "$need" ] || return 0
	command -v apt-get >/dev/null 2>&1 || { echo "setup: no apt-get here; install: $need" >&2; return 0; }
	echo "setup: installing $need"
	as_root true || { echo "setup: cannot install as this user; run as root: apt-get install -y $need" >&2; exit 1; }
	log=$(mktemp)
	as_root env DEBIAN_FRONTEND=noninteractive sh -c '
		apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"' sh $need >"$log" 2>&1 ||
	{ tail -n 20 "$log" >&2; rm -f "$log"; echo "setup: apt-get failed, see above" >&2; exit 1; }
	rm -f "$log"
}

packages $build
[ "$what" = test ] || exit 0
packages $test
if ! command -v node >/dev/null 2>&1; then
	packages nodejs npm
fi
# The reference tool and the Python test tools, pinned.
stamp=.venv/.stamp-$(cksum <tests/requirements.txt | cut -d' ' -f1)
if [ ! -e "$stamp" ]; then
	echo "setup: making .venv"
	rm -rf .venv
	python3 -m venv .venv
	.venv/bin/pip install -q --disable-pip-version-check --no-deps -r tests/requirements.txt
	touch "$stamp"
fi
# Azurite, the Azure Blob server of the tests.
if ! command -v azurite >/dev/null 2>&1 && [ ! -x .venv/node/node_modules/.bin/azurite ]; then
	echo "setup: installing azurite"
	mkdir -p .venv/node
	(cd .venv/node && npm install --silent --no-audit --no-fund azurite@3.35.0 >/dev/null)
fi
# S3 and GCS servers that exist only as Go modules, where a Go toolchain is new enough.
go_tool () {
	[ -x ".venv/bin/$1" ] || command -v "$1" >/dev/null 2>&1 && return 0
	command -v go >/dev/null 2>&1 || return 0
	echo "setup: building $1"
	GOBIN="$PWD/.venv/bin" GOFLAGS=-mod=mod go install "$2" || echo "setup: cannot build $1" >&2
}
go_tool minio github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
go_tool versitygw github.com/versity/versitygw/cmd/versitygw@v1.8.0
go_tool fake-gcs-server github.com/fsouza/fake-gcs-server@v1.56.1
