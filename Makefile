# `make demo` and `make test` set up all they need in .venv, given Python 3.11 and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/.installed-from-pyproject

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format system-deps clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## make .venv with everything in it

# torch goes first and by itself, so that pip takes the version pinned here and no newer one.
$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(INSTALLED)  ## the embedded sweep, with its report in runs/embedded/report
	$(BIN)/python -m raysweep

test: lint  ## lint, and all tests
	$(BIN)/python -m pytest

lint: $(INSTALLED)  ## formatting, lint, types, import rules
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache

format: $(INSTALLED)  ## format the code, and fix what can be fixed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

system-deps:  ## as root: Debian packages that the full tests want
	apt-get update
	apt-get install -y --no-install-recommends bubblewrap chromium prometheus

clean:  ## remove what was made, results in runs/ excepted
	rm -rf .venv build dist .hypothesis .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
