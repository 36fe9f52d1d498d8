# One command for everything a person or CI does here; see README.md.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUITES := unit peers linux vm
SUITE ?= $(SUITES)
SEED ?= 1
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# Debian packages: what jitsu runs, what the tests hold it against, and what the recipes say that they need.
PACKAGES := python3-venv qemu-system-x86 iproute2 curl bind9-dnsutils libc6-dev \
	$(sort $(shell sed -n 's/^packages *= *\[\(.*\)\].*/\1/p' images/*/recipe.toml 2>/dev/null | tr -d '",'))

.PHONY: setup demo test check soak bench clean

setup: $(VENV)/ready

$(VENV)/ready: Makefile pyproject.toml $(wildcard images/*/recipe.toml)
	@missing=""; for package in $(PACKAGES); do \
	    dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	    echo "installing:$$missing"; \
	    $(SUDO) apt-get update -qq && \
	    $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@echo "installing the Python packages into $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: setup
	@$(BIN)/jitsu demo

# Every suite at a size that fits: SUITE=name runs one.
test: setup
	@$(if $(filter $(SUITES),$(SUITE)),$(MAKE) --no-print-directory check)
	@failed=0; for suite in $(SUITE); do \
	    begin=$$(date +%s); \
	    $(BIN)/pytest tests/$$suite --require-capabilities || failed=1; \
	    echo "suite $$suite: $$(( ($$(date +%s) - begin) / 60 )) min $$(( ($$(date +%s) - begin) % 60 )) s"; \
	done; exit $$failed

# The same suites at full count. Seeded, and resumable: what passed under this seed is not run again.
soak: setup
	@$(BIN)/pytest $(addprefix tests/,$(SUITE)) --full --seed $(SEED) --ledger .soak/$(SEED).json --timeout 7200

check: setup
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check . && $(BIN)/mypy --no-error-summary && echo "check: clean"

bench: setup
	@$(BIN)/python -m tests.bench

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .soak *.egg-info
