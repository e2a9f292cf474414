# The whole set-up is `make repro` or `make test`: each makes the virtual environment when it is not there or stale.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# A file's tests stay in one process: they share what is dear to make. In the order of their names: the long ones of end_to_end first.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
export PATH := $(CURDIR)/$(BIN):$(PATH)
.DEFAULT_GOAL := help
.PHONY: help repro test test-all test-cpus check bench clean

help:  ## Say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

repro: $(VENV)/.base  ## Install what is missing, then run the whole pipeline (only what changed)
	@diptych params > /dev/null
	dvc repro

test: $(VENV)/.dev  ## Install what is missing, then run the fast tests
	python -m pytest $(PARALLEL)

test-all: $(VENV)/.dev  ## The slow tests too, and test-cpus
	python -m pytest $(PARALLEL) -m "not gpu"
	python -m tests.processors

test-cpus: $(VENV)/.dev  ## The numeric tests as other processors would run them (half an hour on two slow cores)
	python -m tests.processors

check: $(VENV)/.dev  ## Lint, format, types, layers
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-logo

bench: $(VENV)/.dev  ## Run the benchmarks (a quarter of an hour), write docs/benchmarks.md; SCALE=1: docs/scale.md
	python -m benchmarks $(if $(SCALE),--scale)

clean:  ## Remove the environment and caches; the feature store and the results stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "expected Python 3.11 or newer; found: $$($(PYTHON) --version 2>&1); set PYTHON=python3.12 or so"; exit 2; }
	$(PYTHON) -m venv $(VENV)

# Stamps: pip runs again only when the declared dependencies change.
$(VENV)/.base: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet -e . -c constraints.txt
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet -e '.[dev]' -c constraints.txt
	@touch $@ $(VENV)/.base
