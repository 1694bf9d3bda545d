# optrading: `make run` and `make test` are all there is to know; `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

FEED ?= synthetic
RECORDING ?=
SPEED ?= 1

.DEFAULT_GOAL := help
.PHONY: help run test test-system check soak bench lock generate format third-party clean

help:  ## Lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/run.stamp  ## Starts the mesh: FEED=synthetic, kite, kite-demo, or FEED=replay RECORDING=<file> SPEED=<n|max>
	@FEED=$(FEED) RECORDING="$(RECORDING)" SPEED=$(SPEED) exec $(BIN)/optrading up

test: $(VENV)/dev.stamp  ## Runs every test that needs no Debian package
	$(BIN)/pytest -n auto --dist loadgroup

test-system: $(VENV)/dev.stamp  ## Installs Debian packages (as root) and runs the tests that need them
	scripts/install-system-packages
	$(BIN)/pytest -m system tests

soak: $(VENV)/dev.stamp  ## Runs the long proofs at full length
	OPTRADING_SOAK=1 $(BIN)/pytest -n 2 --timeout 3600 tests/faults

bench: $(VENV)/dev.stamp  ## Runs the benchmarks; results land in benchmarks/results
	$(BIN)/python -m benchmarks

check: $(VENV)/dev.stamp third-party  ## Lint, types, generated code, contract, house rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code protos
	scripts/check-breaking
	$(BIN)/pytest -n auto tests/repository

generate: $(VENV)/dev.stamp third-party  ## Writes generated code, the gateway's routes, mesh policies and the tables of settings anew
	$(BIN)/buf generate
	$(BIN)/python -m optrading.gateway.render
	$(BIN)/python -m optrading.gateway.istio
	$(BIN)/python scripts/document_settings.py

format: $(VENV)/dev.stamp  ## Formats Python and protos
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/buf format --write protos

lock: $(VENV)/dev.stamp  ## Compiles pyproject.toml's dependencies into requirements/
	scripts/lock-requirements

clean:  ## Removes the environment and what was built; never var/
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# google/*.proto for buf, from the installed wheel.
third-party: build/third_party/google/api/annotations.proto

build/third_party/google/api/annotations.proto: $(VENV)/dev.stamp
	$(BIN)/python scripts/lay_out_third_party.py build/third_party

$(VENV)/build.stamp: requirements/build.txt
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("optrading needs Python 3.11 or newer; name one with make PYTHON=<path>")'
	@echo "installing into $(VENV), once; this takes about a minute ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.txt
	@touch $@

# Bytecode is compiled by all cores at once here; Python would do it one module at a time during the first start.
# Only what running needs; a developer's environment has that too and is left as it is.
$(VENV)/run.stamp: $(VENV)/build.stamp requirements/run.txt pyproject.toml
	@test -e $(VENV)/dev.stamp || $(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements/build.txt requirements/run.txt
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/build.stamp requirements/dev.txt pyproject.toml
	$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements/dev.txt
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
