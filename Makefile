# One command for everything a person or CI does here; see README.md.

PYTHON ?= python3
VENV := .venv
COMPILED := .venv-compiled
BIN := $(VENV)/bin
SUITES := unit peers cache linux vm
SUITE ?= $(SUITES)
SEED ?= 1
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# Debian packages: what jitsu runs and what the recipes say that they need; and what the tests hold it against.
PACKAGES := python3-venv qemu-system-x86 iproute2 \
	$(sort $(shell sed -n 's/^packages *= *\[\(.*\)\].*/\1/p' images/*/recipe.toml 2>/dev/null | tr -d '",'))
COMPILER_PACKAGES := gcc libc6-dev python3-dev
# libvirt-python is built from source.
TEST_PACKAGES := bind9-dnsutils curl ffmpeg fuse3 iputils-ping knot-dnsutils nginx-light procps systemd unbound \
	libvirt-clients libvirt-daemon libvirt-daemon-driver-qemu libxml2-utils \
	libmhash2 libvirt-dev pkg-config $(COMPILER_PACKAGES)
BENCH_PACKAGES := dnsmasq-base dnsperf
# Emulated boards, and SD cards: what makes them, and what looks at them.
BOARD_PACKAGES := qemu-system-arm qemu-utils iputils-ping dosfstools e2fsprogs fdisk mtools u-boot-tools \
	device-tree-compiler u-boot-qemu

# Install what is missing of the packages $(1). No service that comes with one is started: systemctl is told that it
# runs where there is no systemd.
install = missing=""; for package in $(1); do \
	    dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	    echo "installing:$$missing"; \
	    $(SUDO) apt-get update -qq && \
	    $(SUDO) env SYSTEMD_OFFLINE=1 DEBIAN_FRONTEND=noninteractive \
	        apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

.PHONY: setup compiled demo test hil check soak bench bench-xenstore bench-shfs bench-imports bench-xen plots clean

setup: $(VENV)/ready

$(VENV)/ready: Makefile pyproject.toml $(wildcard images/*/recipe.toml)
	@$(call install,$(PACKAGES))
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@echo "installing the Python packages into $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(VENV)/ready-to-test: $(VENV)/ready
	@$(call install,$(TEST_PACKAGES) $(BOARD_PACKAGES))
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,fuse,libvirt]'
	@touch $@

# A second installation, whose XenStore is compiled: .venv-compiled/bin/jitsu xenstored.
compiled: $(COMPILED)/ready

$(COMPILED)/ready: Makefile pyproject.toml setup.py $(shell find jitsu minicache shfs boards -name '*.py')
	@$(call install,$(PACKAGES) $(COMPILER_PACKAGES))
	@[ -x $(COMPILED)/bin/python ] || $(PYTHON) -m venv $(COMPILED)
	@echo "compiling the XenStore into $(COMPILED)"
	@rm -rf $(COMPILED)/wheel
	@JITSU_COMPILED=1 $(COMPILED)/bin/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $(COMPILED)/wheel .
	@$(COMPILED)/bin/pip install --quiet --disable-pip-version-check $(COMPILED)/wheel/*.whl
	@# The version is what it was: pip would take it for installed.
	@$(COMPILED)/bin/pip install --quiet --disable-pip-version-check --no-deps --force-reinstall $(COMPILED)/wheel/*.whl
	@touch $@

demo: setup
	@$(BIN)/jitsu demo

# Every suite at a size that fits: SUITE=name runs one.
test: $(VENV)/ready-to-test
	@$(if $(filter $(SUITES),$(SUITE)),$(MAKE) --no-print-directory check)
	@failed=0; for suite in $(SUITE); do \
	    begin=$$(date +%s); \
	    $(BIN)/pytest tests/$$suite --require-capabilities || failed=1; \
	    echo "suite $$suite: $$(( ($$(date +%s) - begin) / 60 )) min $$(( ($$(date +%s) - begin) % 60 )) s"; \
	done; exit $$failed

# The same suites at full count. Seeded, and resumable: what passed under this seed is not run again.
soak: $(VENV)/ready-to-test
	@$(BIN)/pytest $(addprefix tests/,$(SUITE)) --require-capabilities --full --seed $(SEED) --ledger .soak/$(SEED).json --timeout 7200

# Real Xen on emulated boards: armv7, arm64 and x86. The first run builds their images and boots them, a few minutes each.
hil:
	@$(MAKE) --no-print-directory test SUITE=hil

check: setup
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check . && $(BIN)/mypy --no-error-summary && echo "check: clean"

bench: $(VENV)/ready-to-test
	@$(call install,$(BENCH_PACKAGES))
	@$(BIN)/python -m tests.bench

# Our XenStore daemon beside Debian's two, some 20 minutes. BUILDS=5 is quick: domains for each client, 50 as a rule.
# After `make compiled` with a row for it.
bench-xenstore: $(VENV)/ready-to-test $(wildcard $(COMPILED)/ready)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,fuse,libvirt,plots]'
	@$(BIN)/python -m tests.bench xenstore

# shfs beside cp, sha256sum and dd, on disk and in memory, some 5 minutes. ROUNDS=1 is quick.
bench-shfs: $(VENV)/ready
	@$(BIN)/python -m tests.bench shfs

# How long jitsu takes to start beside python3 itself, here and on an emulated armv7 board, some 5 minutes.
bench-imports: $(VENV)/ready-to-test
	@$(BIN)/python -m tests.bench imports

# Domains built on real Xen by our driver beside xl, and what passes from a question to a page, on emulated boards; some
# 25 minutes on a machine with nothing else to do. ROUNDS=1 is quicker. Board by board: BOARDS=qemu-virt-armv7, then
# BOARDS=qemu-xen-x86, then BOARDS=qemu-virt-arm64 (visits only); the pictures in plots/ are of all that were measured.
bench-xen: $(VENV)/ready
	@$(call install,$(BOARD_PACKAGES))
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,plots]'
	@$(BIN)/python -m tests.bench xen

# Pictures of summon latency, in plots/.
plots: setup
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,plots]'
	@$(BIN)/python -m tests.bench plots

clean:
	rm -rf $(VENV) $(COMPILED) .mypy_cache .ruff_cache .pytest_cache .hypothesis .soak plots *.egg-info
