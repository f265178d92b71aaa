#!/bin/sh
# Who may include whom. This table is the architecture.
cd "$(dirname "$0")/../.."
bad=0
may () {
	dir=$1; shift
	allowed=$(printf '%s|' "$@" | sed 's/|$//')
	hits=$(grep -HnE '^#include "' "$dir"/*.[ch] | grep -vE "\"($allowed)|\"sonames\.h\"") &&
	{ echo "$dir may not include:"; echo "$hits"; bad=1; }
}
only () {
	hits=$(grep -rlE "^#include <$1" cmd core remotes | grep -vxE "$2") &&
	{ echo "<$1> belongs to $2 alone, not to:"; echo "$hits"; bad=1; }
}
may core/base     core/base/
may core/cache    core/base/ core/cache/
may core/repo     core/base/ core/repo/
may core/stage    core/base/ core/cache/ core/repo/ core/stage/
may core/data     core/base/ core/cache/ core/repo/ core/stage/ core/data/
may core/pipeline core/base/ core/cache/ core/repo/ core/stage/ core/data/ core/pipeline/
may remotes       core/base/ core/data/remote.h core/repo/config.h remotes/
may cmd           core/ remotes/registry.h cmd/
only git2         core/repo/gitrepo.c
only curl/        remotes/http.c
only libssh2      'remotes/ssh[a-z_]*\.c'
only openssl/     core/base/hash.c
only yaml.h       'core/base/yaml[a-z_]*\.c'
only jansson.h    core/base/json.c
only lmdb.h       'core/cache/state[a-z_]*\.[ch]'
only expat.h      remotes/xml.c
only zstd.h       remotes/packed.c
only iniparser    core/repo/ownconf.c
exit $bad
