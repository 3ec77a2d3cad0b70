# The two commands to know: `make run` and `make test`. Both set up what they need on a fresh Debian 12 or Ubuntu 24.04.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
SOAK_SECONDS ?= 1200
VENV := .venv
PROBES := $(patsubst %.c,%.o,$(wildcard bpf/*.bpf.c))
# says nothing when all is well (setuptools warns of every editable install), everything when not
QUIETLY = log=$$(mktemp); trap 'rm -f '$$log EXIT; quietly() { "$$@" >$$log 2>&1 || { cat $$log; exit 1; }; }; quietly
PIP := $(VENV)/bin/pip --disable-pip-version-check install
BPF_FLAGS := -O2 -g -mcpu=v3 -target bpf -D__TARGET_ARCH_x86 -fno-builtin -Wall -Wextra -Wno-unused-parameter -Werror

# what → the Debian package that brings it; a package is installed only when the file or program is missing
RUN_NEEDS := clang:clang llvm-strip:llvm /usr/include/bpf/bpf_helpers.h:libbpf-dev /usr/include/linux/bpf.h:linux-libc-dev
TEST_NEEDS := gcc:gcc /usr/include/stdio.h:libc6-dev dockerd:docker.io busybox:busybox-static bpftool:bpftool \
	clang-format:clang-format qemu-system-x86_64:qemu-system-x86 git:git ip:iproute2 zsh:zsh fish:fish \
	ctr:containerd podman:podman lxc-start:lxc mc:mc less:less vim:vim top:procps tmux:tmux screen:screen \
	mvn:maven java:default-jre-headless javac:default-jdk-headless openssl:openssl setpriv:util-linux \
	script:bsdutils sshd:openssh-server ssh:openssh-client sudo:sudo /usr/bin/python3:python3-minimal tlog-play:tlog \
	mysql:mariadb-client-core psql:postgresql-client mariadbd:mariadb-server-core pg_createcluster:postgresql \
	/usr/bin/sqlite3:sqlite3 /usr/bin/node:nodejs /usr/bin/ipython3:ipython3 \
	/usr/share/zsh-autosuggestions:zsh-autosuggestions /usr/share/zsh-syntax-highlighting:zsh-syntax-highlighting
BENCH_NEEDS := gcc:gcc /usr/include/stdio.h:libc6-dev dockerd:docker.io busybox:busybox-static bpftool:bpftool \
	musl-gcc:musl-tools strace:strace mvn:maven java:default-jre-headless javac:default-jdk-headless openssl:openssl

.PHONY: help run test test-faults fuzz check bench soak bpf format clean packages-run packages-test packages-bench

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

run: packages-run $(VENV)/run.stamp bpf ## install what is needed, build, and record this host with a live table
	@exec $(VENV)/bin/cgtrail up --demo auto

# What records this host has it for itself; then unit tests, which compute, beside those of servers, which mostly wait.
# A shell has its background jobs ignore Ctrl-C, and what they start would too: env undoes that.
test: packages-run packages-test $(VENV)/dev.stamp bpf ## run every test; needs root
	@failed=0; unit=; log=$$(mktemp); trap 'rm -f "$$log"; [ -z "$$unit" ] || kill "$$unit" 2>/dev/null || true' EXIT; \
	$(VENV)/bin/pytest --ignore=tests/servers --ignore=tests/unit || failed=1; \
	env --default-signal=INT,QUIT $(VENV)/bin/pytest tests/unit >"$$log" 2>&1 & unit=$$!; \
	$(VENV)/bin/pytest tests/servers || failed=1; \
	wait "$$unit" || failed=1; unit=; \
	cat "$$log"; exit $$failed

test-faults: packages-run packages-test $(VENV)/dev.stamp bpf ## kill and damage at a hundred moments instead of a few; needs root
	$(VENV)/bin/pytest tests/faults tests/servers -m faults --faults-long

FUZZ_SECONDS ?= 600
fuzz: packages-run $(VENV)/fuzz.stamp ## look for inputs that break a promise, for FUZZ_SECONDS (600), TARGETS or all
	$(VENV)/bin/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(TARGETS)

check: packages-run packages-test $(VENV)/dev.stamp bpf ## format, lint, types, import contract, generated files
	$(VENV)/bin/python -m bpf.generate --check
	$(VENV)/bin/python -m enrich.reference --check
	$(VENV)/bin/python -m cgtrail.metrics --check
	$(VENV)/bin/ruff format --check --quiet .
	$(VENV)/bin/ruff check --quiet .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo
	clang-format --dry-run -Werror bpf/*.bpf.c $(filter-out bpf/events.h,$(wildcard bpf/*.h)) tests/kernel/triggers/*.[ch] tests/bench/*.c

bench: packages-run packages-bench $(VENV)/dev.stamp bpf ## measure what everything costs (BENCH="kernel agent --quick" for less); needs root
	$(VENV)/bin/python -m tests.bench $(BENCH)

soak: packages-run packages-bench $(VENV)/dev.stamp bpf ## containers come and go for SOAK_SECONDS: nothing may grow or be missing; needs root
	$(VENV)/bin/python -m tests.bench.soak --seconds $(SOAK_SECONDS)

bpf: $(PROBES) ## build the kernel programs

format: $(VENV)/dev.stamp ## format all code and write generated files
	$(VENV)/bin/python -m bpf.generate
	$(VENV)/bin/python -m enrich.reference
	$(VENV)/bin/python -m cgtrail.metrics
	$(VENV)/bin/ruff check --quiet --fix . || true
	$(VENV)/bin/ruff format --quiet .
	clang-format -i bpf/*.bpf.c $(filter-out bpf/events.h,$(wildcard bpf/*.h)) tests/kernel/triggers/*.[ch] tests/bench/*.c

clean: ## remove what was built
	rm -rf $(VENV) bpf/*.bpf.o build *.egg-info

bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h)
	@echo "building $@"
	@clang $(BPF_FLAGS) -I/usr/include/$(shell uname -m)-linux-gnu -Ibpf -c $< -o $@
	@llvm-strip -g $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "cgtrail needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory install-python3-venv
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(QUIETLY) $(PIP) --upgrade 'pip>=25.1'

$(VENV)/run.stamp: pyproject.toml | $(VENV)/bin/python
	@echo "installing Python packages into $(VENV)"
	@$(QUIETLY) $(PIP) -e .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(VENV)/bin/python
	@echo "installing Python packages for development into $(VENV)"
	@$(QUIETLY) $(PIP) -e . --group dev
	@touch $@ $(VENV)/run.stamp

$(VENV)/fuzz.stamp: $(VENV)/dev.stamp
	@echo "installing the fuzzer into $(VENV)"
	@$(QUIETLY) $(PIP) --group fuzz
	@touch $@

packages-run:
	@$(MAKE) --no-print-directory install-missing NEEDS='$(RUN_NEEDS)'
	@ldconfig -p | grep -q 'libbpf\.so\.1 ' || $(MAKE) --no-print-directory install-libbpf1

packages-bench:
	@$(MAKE) --no-print-directory install-missing NEEDS='$(BENCH_NEEDS)'

packages-test:
	@$(MAKE) --no-print-directory install-missing NEEDS='$(TEST_NEEDS)'
	@apt-cache show linux-image-6.12-amd64 >/dev/null 2>&1 || { $(QUIETLY) apt-get update; } # the guests' kernels

.PHONY: install-missing install-%
install-missing:
	@missing=; for need in $(NEEDS); do \
		what=$${need%%:*}; package=$${need##*:}; \
		case $$what in /*) [ -e $$what ] ;; *) PATH=$$PATH:/usr/sbin:/sbin command -v $$what >/dev/null ;; esac || missing="$$missing $$package"; \
	done; \
	[ -z "$$missing" ] || $(MAKE) --no-print-directory apt PACKAGES="$$missing"

install-%:
	@$(MAKE) --no-print-directory apt PACKAGES=$*

.PHONY: apt
apt:
	@[ "$$(id -u)" = 0 ] || { echo "missing:$(PACKAGES); run this as root, or: apt-get install$(PACKAGES)"; exit 1; }
	@echo "installing distribution packages: $(PACKAGES)"
	@$(QUIETLY) apt-get update
	@$(QUIETLY) env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(PACKAGES)
