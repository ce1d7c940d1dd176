# The two commands of the README are `make bench` and `make test`; `make help` lists the others.
# Needs git, make, python3 (3.11 or newer) and python3-venv; everything else comes from the lock file.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
# Debian keeps brokers where only root looks for programs.
export PATH := $(PATH):/usr/sbin:/sbin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

BIN := .venv/bin
LOCKED := .venv/.locked
READY := .venv/.ready
# Two workers: the tests are made for two cores, and their timings too.
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal -q

.PHONY: help bench benchmark test test-vm soak fuzz mutants lint format lock hw deb hooks coverage clean environment brokers

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 16

bench: $(READY) ## two gateways on this machine, joined by a cable and two radios; ends with a table
	@$(BIN)/hotline bench $(ARGS)

benchmark: $(READY) brokers ## every budget measured here, beside the peers'; 65 min, 12 with ARGS=--quick
	@$(BIN)/hotline benchmark $(ARGS)

test: $(READY) brokers lint ## lint, types, import rules and all tests but soak; at most 10 minutes
	@$(PYTEST) -m "not soak and not hardware" $(ARGS)

soak: $(READY) brokers ## the tests that take long
	@$(PYTEST) -m "soak and not hardware" --timeout 3600 $(ARGS)

# Root, Debian 12 on amd64. The machine is built once, from Debian packages, into .vm; the rest of a run is emulation.
VM_PACKAGES := busybox qemu-system-x86 seabios ipxe-qemu mmdebstrap e2fsprogs kmod binutils cpio xz-utils gcc libelf1
VM_ARCH := $(or $(ARCH),amd64)
VM_TESTS_amd64 := tests/hardware
# An emulated arm64 is slower still: what may differ there, and nothing that is timed.
VM_TESTS_arm64 := $(addprefix tests/hardware/test_vm_,userland.py memory.py lamps.py \
	package.py::test_the_installation_says_what_comes_next)
VM_SUITE := $(or $(SUITE),bookworm)
ifeq ($(VM_ARCH),arm64)
VM_PACKAGES += arch-test qemu-system-arm qemu-user-static gcc-aarch64-linux-gnu device-tree-compiler
test-vm: export VM_FOLDER := $(CURDIR)/.vm/arm64$(VM_SUITE:bookworm=)
endif

test-vm: $(READY) brokers ## the package in a virtual machine: installation to purge, lamps, unplugging; needs root (ARCH=arm64; with SUITE=trixie: Debian 13)
	@[ "$$(id -u)" = 0 ] || { echo "make test-vm needs root: it makes a root file system" >&2; exit 1; }; \
	dpkg --status $(VM_PACKAGES) >/dev/null 2>&1 || { echo "installing QEMU and mmdebstrap from Debian" >&2; \
		install="env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(VM_PACKAGES)"; \
		$$install >/dev/null 2>&1 || { apt-get update -qq && $$install >/dev/null; }; }; \
	$(MAKE) deb ARCH=$(VM_ARCH); \
	tests/hardware/machine/build $(or $(VM_FOLDER),.vm) $(VM_ARCH) $(VM_SUITE); \
	$(BIN)/python -m pytest -q -m hardware -rP --durations=0 --durations-min=1 $(VM_TESTS_$(VM_ARCH)) $(ARGS); \
	echo "make test-vm took $$((SECONDS / 60)) min $$((SECONDS % 60)) s in all"

# By coverage where atheris has a wheel for this Python, else by drawing alone.
fuzz: $(READY) ## what octets can do to every reader; MINUTES=n in all (10), non-zero at a finding
	@tests/fuzz/coverage_environment.sh && how=--coverage || how=; \
	$(BIN)/python -m tests.fuzz.program --minutes $(or $(MINUTES),10) $$how $(ARGS)

mutants: ## how many changes of security, wire and logbook the tests notice; an hour (ARGS=--all: a night)
	@[ .venv-mutants/.ready -nt tests/mutants/requirements.lock ] || { $(PYTHON) -m venv .venv-mutants && \
		.venv-mutants/bin/pip install --quiet --require-hashes --only-binary :all: \
			-r tests/mutants/requirements.lock && touch .venv-mutants/.ready; }
	@.venv-mutants/bin/python tests/mutants $(ARGS)

lint: $(READY) ## format, lint, types and import rules; says everything before it fails
	@failed=; \
	$(BIN)/ruff format --check --quiet . || failed+=" format (run make format)"; \
	$(BIN)/ruff check --quiet . || failed+=" ruff"; \
	$(BIN)/mypy --no-error-summary || failed+=" mypy"; \
	$(BIN)/lint-imports --no-logo >.venv/lint-imports.log || \
		{ cat .venv/lint-imports.log; failed+=" import rules"; }; \
	[ -z "$$failed" ] || { echo "lint failed:$$failed" >&2; exit 1; }

format: $(READY) ## format the tree and fix what can be fixed safely
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .

coverage: $(READY) brokers ## what the tests reach, by branch
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -q -p no:xdist \
		-m "not soak and not hardware" $(ARGS)
	@$(BIN)/coverage combine --quiet && $(BIN)/coverage report

hw: ## draw wiring, harness and lamp card in hw/ (an environment of its own in .venv-hw)
	@[ .venv-hw/.ready -nt hw/requirements.lock ] || { $(PYTHON) -m venv .venv-hw && \
		.venv-hw/bin/pip install --quiet --require-hashes --only-binary :all: -r hw/requirements.lock && \
		touch .venv-hw/.ready; }
	@PYTHONPATH=. .venv-hw/bin/python hw/draw

# The packages hold the gateway's wheels for CPython 3.11 (bookworm) and 3.13 (trixie).
deb: $(READY) ## Debian packages for amd64 and arm64 with their SBOM in dist/ (ARCH=arm64: only that one)
	@[ .venv-deb/.ready -nt systemd/deb/tools.lock ] || { $(PYTHON) -m venv .venv-deb && \
		.venv-deb/bin/pip install --quiet --require-hashes --only-binary :all: -r systemd/deb/tools.lock && \
		touch .venv-deb/.ready; }
	@.venv-deb/bin/python systemd/deb $(or $(ARCH),amd64 arm64)

lock: ## write requirements.lock anew from pyproject.toml (uv in a throw-away environment)
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
		$(PYTHON) -m venv "$$folder/venv" && "$$folder/venv/bin/pip" install --quiet uv && \
		"$$folder/venv/bin/uv" pip compile --quiet --universal --generate-hashes \
			--no-emit-index-url --no-header --python-version 3.11 --extra dev --extra nats \
			pyproject.toml -o requirements.lock && \
		"$$folder/venv/bin/uv" pip compile --quiet --universal --generate-hashes \
			--no-emit-index-url --no-header --python-version 3.11 --extra hw \
			pyproject.toml -o hw/requirements.lock && \
		"$$folder/venv/bin/uv" pip compile --quiet --universal --generate-hashes \
			--no-emit-index-url --no-header --python-version 3.11 --extra nats --constraint requirements.lock \
			pyproject.toml -o systemd/deb/requirements.lock && \
		"$$folder/venv/bin/uv" pip compile --quiet --universal --generate-hashes \
			--no-emit-index-url --no-header --python-version 3.11 --group deb \
			-o systemd/deb/tools.lock && \
		"$$folder/venv/bin/uv" pip compile --quiet --universal --generate-hashes \
			--no-emit-index-url --no-header --python-version 3.11 --extra dev --group mutants \
			--constraint requirements.lock pyproject.toml -o tests/mutants/requirements.lock

hooks: ## run the fast part of `make lint` before each git commit
	@git config core.hooksPath .githooks && echo "git runs .githooks/pre-commit from now on"

clean: ## remove the environment and all caches
	rm -rf .venv .venv-hw .venv-deb .venv-fuzz .venv-mutants .vm .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf build dist ./*.egg-info .coverage .coverage.*
	find gateway tests -name __pycache__ -type d -prune -exec rm -rf {} +

environment: $(READY)

# Installs what the lock file names and nothing else: hashes are checked, nothing is built.
$(LOCKED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11: install a newer one, or make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m venv .venv || \
		{ echo "python3 has no venv module: apt-get install python3-venv" >&2; exit 1; }
	@echo "installing the environment in .venv (once; about a minute)" >&2
	@$(BIN)/pip install --quiet --require-hashes --only-binary :all: -r requirements.lock
	@touch $@

$(READY): $(LOCKED) pyproject.toml
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# Tests use real brokers, and strace for power cuts and faults of the disk. They are installed where
# that needs nobody's password.
brokers:
	@has() { command -v mosquitto && command -v mosquitto_pub && command -v nats-server && \
		command -v strace; }; \
	if has; then exit 0; fi >/dev/null; \
	as=; if [ "$$(id -u)" != 0 ]; then as="sudo -n"; fi; \
	packages="mosquitto mosquitto-clients nats-server strace"; \
	if command -v apt-get >/dev/null && { [ -z "$$as" ] || $$as true 2>/dev/null; }; then \
		echo "installing Mosquitto, nats-server and strace from Debian for the tests" >&2; \
		install="$$as env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
			--no-install-recommends $$packages"; \
		$$install >/dev/null 2>&1 || { $$as apt-get update -qq && $$install >/dev/null; }; \
	fi; \
	has >/dev/null || \
		{ echo "the tests need brokers and strace: sudo apt-get install $$packages" >&2; exit 1; }
