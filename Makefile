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

ifdef SANITIZE
comma   := ,
BUILD   ?= build/$(subst $(comma),-,$(SANITIZE))
SAN     := -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT     ?= -O1 -g
endif
BUILD   ?= build/release
OPT     ?= -O2 -g

WARN = -Wall -Wextra -Werror -Wformat=2 -Wno-format-nonliteral -Wstrict-prototypes -Wmissing-prototypes \
       -Wpointer-arith -Wvla -Wwrite-strings
# Linked: small libraries that start-up can afford. The others are opened at first use (core/base/lazylib.h).
PKGS      = yaml-0.1 jansson lmdb
LAZY_PKGS = libgit2 libcurl libssh2 libcrypto expat libzstd
CPPFLAGS_ALL = -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. -I$(BUILD)/gen -DGIT_DATA_VERSION='"$(VERSION)"'
CFLAGS_ALL = $(CPPFLAGS_ALL) -MMD -MP -pthread $(OPT) $(WARN) $(SAN) $(PKG_CFLAGS) $(CFLAGS)
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PKGS) $(LAZY_PKGS) 2>/dev/null)
PKG_LIBS   := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null) -liniparser -ldl -lm -pthread
LDFLAGS_ALL = $(SAN) -Wl,-z,relro -Wl,-z,now -Wl,--as-needed $(LDFLAGS)

SRC  := $(sort $(wildcard core/*/*.c remotes/*.c cmd/*.c))
OBJ  := $(SRC:%.c=$(BUILD)/%.o)
LIBOBJ := $(filter-out $(BUILD)/cmd/main.o,$(OBJ))
UNIT := $(sort $(wildcard tests/unit/test_*.c))
UNITBIN := $(UNIT:%.c=$(BUILD)/%)

.PHONY: all objs debug unit clean install uninstall help FORCE
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
unit: $(UNITBIN)
	$(Q)for t in $(UNITBIN); do $$t || exit 1; done

clean:
	rm -rf build

install: $(BUILD)/git-data
	install -d $(DESTDIR)$(BINDIR)
	install -m 0755 $(BUILD)/git-data $(DESTDIR)$(BINDIR)/git-data

-include $(OBJ:.o=.d)
