# posthaste. `make demo` and `make test` need Rust, a C compiler and make, nothing else.
#
#   make            build the programs (release profile)
#   make demo       see mail submitted, delivered and read in a temporary house; KEEP=1 leaves it running
#   make test       run all tests
#   make install    PREFIX=/usr/local DESTDIR= : programs, pages, completions, units
#   make check      what a change must pass: fmt, clippy, test, doc, deny
#   make soak       the long runs: hundreds of kills, power cuts, fuzzing (hours; FUZZ_SECONDS=60 for less)
#   make fuzz bench completions clean

PREFIX     = /usr/local
DESTDIR    =
BINDIR     = $(PREFIX)/bin
SBINDIR    = $(PREFIX)/sbin
MANDIR     = $(PREFIX)/share/man
BASHDIR    = $(PREFIX)/share/bash-completion/completions
ZSHDIR     = $(PREFIX)/share/zsh/site-functions
FISHDIR    = $(PREFIX)/share/fish/vendor_completions.d
DOCDIR     = $(PREFIX)/share/doc/posthaste
UNITDIR    = $(PREFIX)/lib/systemd/system
SYSUSERDIR = $(PREFIX)/lib/sysusers.d
TMPFILEDIR = $(PREFIX)/lib/tmpfiles.d

CARGO    = cargo
# `make PROFILE=dist` is what packages are built with.
PROFILE  = release
TARGET   = $(or $(CARGO_TARGET_DIR),target)/$(PROFILE)
PROGRAMS = $(sort $(basename $(notdir $(wildcard bin/*.rs))))

# OpenSSL's headers and library (libssl-dev): by OPENSSL_DIR or pkg-config, or else where the C compiler finds both. Where they
# are missing OpenSSL is built from source, once and slowly; its build needs perl, which build-essential brings.
HAVE_SSL := $(OPENSSL_DIR)$(shell pkg-config --exists openssl 2>/dev/null && echo yes)
ifeq ($(HAVE_SSL),)
SSL_HEADER := $(shell printf '\043include <openssl/ssl.h>\n' | $(or $(CC),cc) -M -E - 2>/dev/null | grep -o '/[^ ]*/openssl/ssl\.h' | head -n 1)
SSL_LIBRARY := $(filter /%,$(shell $(or $(CC),cc) -print-file-name=libssl.so 2>/dev/null))
ifneq ($(and $(SSL_HEADER),$(SSL_LIBRARY)),)
HAVE_SSL := yes
export OPENSSL_INCLUDE_DIR := $(patsubst %/openssl/ssl.h,%,$(SSL_HEADER))
export OPENSSL_LIB_DIR := $(realpath $(dir $(SSL_LIBRARY)))
endif
endif
ifeq ($(HAVE_SSL),)
FEATURES = --features vendored-tls
SAY_SSL  = @echo 'libssl-dev is not installed: OpenSSL is built from source, which takes some minutes the first time.'; \
	command -v perl >/dev/null || { echo 'That needs perl: apt install perl, or libssl-dev instead.'; exit 1; }
else
FEATURES =
SAY_SSL  =
endif
# The profile in which tests of a vendored OpenSSL and all others share what they built.
BUILD = $(CARGO) build --locked $(FEATURES)

.PHONY: all build demo test install check fmt clippy doc deny soak fuzz bench completions clean rust

all: build

rust:
	@command -v $(CARGO) >/dev/null || { echo 'Rust is needed (1.95 or newer): https://rustup.rs'; exit 1; }
	$(SAY_SSL)

build: rust
	$(BUILD) --profile $(PROFILE) --bins

# The demo and the tests share the dev profile, so that whoever tries both builds once.
demo: rust
	@$(BUILD) --bins --example certificate
	@BIN='$(or $(CARGO_TARGET_DIR),target)/debug' KEEP='$(KEEP)' sh contrib/demo.sh

test: rust
	$(CARGO) test --locked --no-fail-fast $(FEATURES)

# The programs of `make test`, so that nothing is built twice; then each codec is fuzzed for FUZZ_SECONDS or 10^8 inputs.
FUZZ_SECONDS = 1200
soak: rust
	POSTHASTE_SOAK=1 $(CARGO) test --locked --no-fail-fast $(FEATURES) -- --nocapture
	fuzz/run -t $(FUZZ_SECONDS) -n 100000000

check: fmt clippy test doc deny

fmt:
	$(CARGO) fmt --all -- --check

clippy: rust
	$(CARGO) clippy --locked --all-targets $(FEATURES) -- -D warnings

# For whoever works on it: what is private is documented, too.
doc: rust
	RUSTDOCFLAGS='-D warnings -A rustdoc::private_intra_doc_links' $(CARGO) doc --locked --no-deps --document-private-items $(FEATURES)

deny:
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --locked check licenses bans sources; \
	else echo 'deny: skipped, cargo-deny is not installed (cargo install cargo-deny)'; fi

fuzz: rust
	fuzz/run

bench: rust
	$(CARGO) bench --locked $(FEATURES)

completions: rust
	$(CARGO) run --locked -q $(FEATURES) --example completions

# Run `make` first as yourself; then `make install` as root only copies.
install:
	@for name in $(PROGRAMS); do test -x '$(TARGET)'/$$name || { echo "$$name is not built: run make first"; exit 1; }; done
	install -d '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(SBINDIR)' '$(DESTDIR)$(MANDIR)'/man1 '$(DESTDIR)$(MANDIR)'/man5 \
	    '$(DESTDIR)$(MANDIR)'/man7 '$(DESTDIR)$(MANDIR)'/man8 '$(DESTDIR)$(BASHDIR)' '$(DESTDIR)$(ZSHDIR)' \
	    '$(DESTDIR)$(FISHDIR)' '$(DESTDIR)$(DOCDIR)' '$(DESTDIR)$(UNITDIR)' '$(DESTDIR)$(SYSUSERDIR)' '$(DESTDIR)$(TMPFILEDIR)'
	for name in $(PROGRAMS); do install -m 755 '$(TARGET)'/$$name '$(DESTDIR)$(BINDIR)'/ || exit 1; done
	for section in 1 5 7 8; do for page in man/*.$$section; do \
	    test ! -e "$$page" || install -m 644 "$$page" '$(DESTDIR)$(MANDIR)'/man$$section/ || exit 1; done; done
	for name in $(PROGRAMS); do \
	    install -m 644 completions/$$name.bash '$(DESTDIR)$(BASHDIR)'/$$name && \
	    install -m 644 completions/_$$name '$(DESTDIR)$(ZSHDIR)'/ && \
	    install -m 644 completions/$$name.fish '$(DESTDIR)$(FISHDIR)'/ || exit 1; done
	install -m 644 README.md ARCHITECTURE.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE '$(DESTDIR)$(DOCDIR)'/
	for unit in contrib/systemd/*.service contrib/systemd/*.socket; do \
	    sed 's|/usr/bin/|$(BINDIR)/|' $$unit > '$(DESTDIR)$(UNITDIR)'/$${unit##*/} || exit 1; done
	install -m 644 contrib/systemd/posthaste.sysusers '$(DESTDIR)$(SYSUSERDIR)'/posthaste.conf
	install -m 644 contrib/systemd/posthaste.tmpfiles '$(DESTDIR)$(TMPFILEDIR)'/posthaste.conf
	@if test -x '$(DESTDIR)$(BINDIR)'/mail-send; then ln -sf ../bin/mail-send '$(DESTDIR)$(SBINDIR)'/sendmail; fi
	@if test -x '$(DESTDIR)$(BINDIR)'/mail-queue; then ln -sf mail-queue '$(DESTDIR)$(BINDIR)'/mailq; fi

clean:
	$(CARGO) clean
