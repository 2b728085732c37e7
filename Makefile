# Every target sets up what it needs, on a new machine too: a virtual environment in .venv with all distributions
# installed editable, and for the tests the file-system tools from Debian's packages.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup tools demo test test-all lint format bench damage-matrix clean

export PIP_DISABLE_PIP_VERSION_CHECK := 1

BIN := .venv/bin
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
PROJECTS := pyproject.toml core/pyproject.toml $(PLUGINS:%=%/pyproject.toml)
SOURCES := core/src $(wildcard plugins/*/src)
PYTEST := $(BIN)/pytest --numprocesses 2 --dist loadfile --timeout 900
PYTEST_ARGS ?=

help:
	@echo 'make setup      .venv with every distribution installed editable; then .venv/bin/inpart runs'
	@echo 'make demo       wrecks a small FAT32 partition and brings it back'
	@echo 'make test       lint and tests; PYTEST_ARGS="-k fat" narrows the tests'
	@echo 'make test-all   the same with every case of the exhaustive tests'
	@echo 'make lint       ruff, mypy --strict and the layers of the core'
	@echo 'make format     rewrites the sources as ruff formats them'
	@echo 'make bench      measures against partclone; results belong into bench/README.md'
	@echo 'make damage-matrix  runs every damage and writes docs/damage-matrix.md; an interrupted run goes on'
	@echo 'make clean      removes .venv and all caches'

setup: .venv/installed

.venv/installed: $(PROJECTS) requirements-dev.txt constraints.txt tools/find-python.sh
	[ -x $(BIN)/python ] || { python=$$(tools/find-python.sh) && "$$python" -m venv .venv; }
	$(BIN)/pip install --quiet --constraint constraints.txt --requirement requirements-dev.txt \
	    --editable 'core[testing]' $(PLUGINS:%=--editable %)
	$(BIN)/python -m compileall -q $(SOURCES)
	touch $@

tools:
	@tools/install-tools.sh

demo: setup
	@$(BIN)/inpart demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: lint tools
	$(PYTEST) -m 'not exhaustive' $(PYTEST_ARGS)

test-all: lint tools
	$(PYTEST) $(PYTEST_ARGS)

bench: setup tools
	$(BIN)/python bench/run.py

damage-matrix: setup tools
	PYTHONPATH=tests:plugins/fat/tests:plugins/ext/tests:plugins/ntfs/tests $(BIN)/python -m matrix docs/damage-matrix.md build/matrix.journal

clean:
	rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
