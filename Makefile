# git-data: build, test, install. `make help` lists the targets.
#
#   make                     release build in build/release
#   make debug               -O0 -g build in build/debug
#   make SANITIZE=address,undefined | thread
#   make check               everything CI runs; installs what is missing when it may
#   make demo                builds and shows the main job on real files

PREFIX  ?= /usr/local
BINDIR  ?= $(PREFIX)/bin
MANDIR  ?= $(PREFIX)/share/man
DESTDIR ?=
CC      ?= cc
PKG_CONFIG ?= pkg-config
VERSION := $(shell cat VERSION 2>/dev/null || echo 0.1.0)
V       ?= 0
Q        = $(if $(filter 1,$(V)),,@)

comma   := ,
ifdef SANITIZE
BUILD   ?= build/$(subst $(comma),-,$(SANITIZE))
SAN     ?= -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT     ?= -O1 -g
endif
BUILD   ?= build/release
OPT     ?= -O2 -g
# What is not a loop over files or bytes is built small: the binary stays under 1 MB and its pages load faster.
ifeq ($(OPT),-O2 -g)
SMALL   := -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables
$(BUILD)/cmd/%.o $(BUILD)/remotes/%.o $(BUILD)/core/pipeline/%.o $(BUILD)/core/stage/%.o $(BUILD)/core/repo/%.o: OPT := -Os -g
COLD := add addto erepo listing import importrepo importtree partial source clone copytree untrack merge migrate versioned compare compare_params \
	compare_source collect transfer_collect transfer_runs ignorelines transfer datadiff datadiff_remote track project commit upload
$(COLD:%=$(BUILD)/core/data/%.o) $(BUILD)/core/base/yaml_explain.o: OPT := -Os -g
endif

WARN = -Wall -Wextra -Werror -Wformat=2 -Wno-format-nonliteral -Wstrict-prototypes -Wmissing-prototypes \
       -Wpointer-arith -Wvla -Wwrite-strings
# Linked: small libraries that start-up can afford. The others are opened at first use (core/base/lazylib.h).
PKGS      = yaml-0.1 jansson lmdb
LAZY_PKGS = libgit2 libcurl libssh2 libcrypto expat libzstd
CPPFLAGS_ALL = -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. -I$(BUILD)/gen -DGIT_DATA_VERSION='"$(VERSION)"'
CFLAGS_ALL = $(CPPFLAGS_ALL) -MMD -MP -pthread $(OPT) $(SMALL) $(WARN) $(SAN) $(PKG_CFLAGS) $(CFLAGS)
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PKGS) $(LAZY_PKGS) 2>/dev/null)
PKG_LIBS   := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null) -liniparser -ldl -lm -pthread
# Relative relocations as bitmaps (DT_RELR): 70 KB less, and start-up applies them in one sweep. Needs glibc 2.36.
RELR := $(if $(SMALL),$(shell printf 'int main(void){return 0;}' | $(CC) -xc - -Wl,-z,pack-relative-relocs -o /dev/null >/dev/null 2>&1 && \
	getconf GNU_LIBC_VERSION | awk '{ split($$2, v, "."); if (v[1] * 1000 + v[2] >= 2036) print "-Wl,-z,pack-relative-relocs" }'))
LDFLAGS_ALL = $(SAN) $(if $(SMALL),-Wl$(comma)--gc-sections) -Wl,-z,relro -Wl,-z,now -Wl,--as-needed $(RELR) $(LDFLAGS)

SRC  := $(sort $(wildcard core/*/*.c remotes/*.c cmd/*.c))
OBJ  := $(SRC:%.c=$(BUILD)/%.o)
LIBOBJ := $(filter-out $(BUILD)/cmd/main.o,$(OBJ))
UNIT := $(sort $(wildcard tests/unit/test_*.c))
UNITBIN := $(UNIT:%.c=$(BUILD)/%)

.PHONY: all objs debug unit unit-build tools check quick demo bench lint check-headers fuzz fuzz-smoke clean install uninstall help FORCE
all: $(BUILD)/git-data $(BUILD)/dvc

objs: $(OBJ)
debug:
	$(Q)$(MAKE) BUILD=build/debug OPT="-O0 -g3"

$(BUILD)/git-data: $(OBJ)
	@echo "  LD   $@"
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(OBJ) $(PKG_LIBS)
$(BUILD)/dvc: $(BUILD)/git-data
	$(Q)ln -sf git-data $@
$(BUILD)/%.o: %.c $(BUILD)/flags $(BUILD)/gen/sonames.h
	@mkdir -p $(@D)
	@echo "  CC   $<"
	$(Q)$(CC) $(CFLAGS_ALL) -c -o $@ $<
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CFLAGS_ALL)' | cmp -s - $@ || echo '$(CC) $(CFLAGS_ALL)' >$@
# The sonames of what is opened at first use, asked from the libraries that the headers belong to.
$(BUILD)/gen/sonames.h: Makefile tests/lint/sonames.sh
	@mkdir -p $(@D)
	$(Q)CC='$(CC)' sh tests/lint/sonames.sh >$@.tmp && mv $@.tmp $@

$(BUILD)/tests/unit/%: tests/unit/%.c $(LIBOBJ)
	@mkdir -p $(@D)
	@echo "  TEST $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LIBOBJ) $(PKG_LIBS) -lcmocka
unit-build: $(UNITBIN) tools
unit: unit-build
	$(Q)for t in $(UNITBIN); do $$t || exit 1; done

# Small programs that tests drive: one source each.
TOOL := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/tool/*.c)))
tools: $(TOOL)
$(BUILD)/tests/tool/%: tests/tool/%.c $(LIBOBJ)
	@mkdir -p $(@D)
	@echo "  TOOL $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< $(LIBOBJ) $(PKG_LIBS)

# libFuzzer targets, built by clang with sanitizers; the corpus is replayed first, then FUZZ_SECONDS each of new input.
FUZZ := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_SECONDS ?= 60
FUZZ_BUILD := build/fuzz
fuzz:
	$(Q)$(MAKE) -s CC=clang BUILD=$(FUZZ_BUILD) OPT="-O1 -g" SAN="-fsanitize=fuzzer-no-link,address,undefined \
		-fno-sanitize-recover=all" fuzz-build
ifeq ($(BUILD),$(FUZZ_BUILD))
.PHONY: fuzz-build
fuzz-build: $(FUZZ:%=$(BUILD)/%)
$(FUZZ:%=$(BUILD)/%): $(BUILD)/%: tests/fuzz/%.c $(LIBOBJ)
	@echo "  FUZZ $@"
	$(Q)clang $(CFLAGS_ALL) -fsanitize=fuzzer $(LDFLAGS_ALL) -o $@ $< $(LIBOBJ) $(PKG_LIBS)
endif
fuzz-smoke: fuzz
	$(Q)sh tests/fuzz/smoke.sh $(FUZZ_BUILD) $(FUZZ_SECONDS) $(FUZZ)

HEADERS := $(filter-out %_steps.h,$(sort $(wildcard core/*/*.h remotes/*.h cmd/*.h)))
check-headers: $(BUILD)/gen/sonames.h
	$(Q)for h in $(HEADERS); do \
		$(CC) $(CPPFLAGS_ALL) $(PKG_CFLAGS) $(WARN) -fsyntax-only -x c $$h || exit 1; \
	done
lint: all check-headers
	$(Q)sh tests/lint/layers.sh
	$(Q)sh tests/lint/style.sh
	$(Q)sh tests/lint/help.sh

check:
	$(Q)sh tests/setup.sh test
	$(Q)bash tests/check.sh
quick: all unit-build
	$(Q)bash tests/check.sh lint unit
demo:
	$(Q)sh tests/setup.sh build
	$(Q)$(MAKE) -s -j2 all
	$(Q)sh tests/demo.sh $(BUILD)/git-data
bench: all
	$(Q)$(if $(wildcard .venv/bin/python),.venv/bin/python,python3) tests/bench/bench.py $(BENCH)

clean:
	rm -rf build

install: $(BUILD)/git-data
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man5 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions
	install -m 0755 -s $(BUILD)/git-data $(DESTDIR)$(BINDIR)/git-data
	install -m 0644 man/*.1 $(DESTDIR)$(MANDIR)/man1
	install -m 0644 man/*.5 $(DESTDIR)$(MANDIR)/man5
	# `git help data-add` asks for the page "gitdata-add", since no program has the name git-data-add.
	cd man && for p in git-data-*.1; do \
		ln -sf $$p $(abspath $(DESTDIR)$(MANDIR))/man1/gitdata-$${p#git-data-}; \
	done
	$(BUILD)/git-data completion -s bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/git-data
	$(BUILD)/git-data completion -s zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_git-data
uninstall:
	rm -f $(DESTDIR)$(BINDIR)/git-data $(DESTDIR)$(MANDIR)/man1/git-data*.1 $(DESTDIR)$(MANDIR)/man1/gitdata-*.1 $(DESTDIR)$(MANDIR)/man5/git-data-*.5
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/git-data $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_git-data

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile
	@echo 'targets: all debug unit check quick demo bench lint check-headers fuzz fuzz-smoke install uninstall clean'

-include $(OBJ:.o=.d)
