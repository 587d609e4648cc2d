# Every target works in a fresh clone: it makes what it needs, and fails when a step of it fails.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV_VERSION := 0.13.9
UV ?= $(shell command -v uv || echo build/uv/bin/uv)
# TensorFlow alone is some 10,000 files; compiled once here, they import in a third of the time.
export UV_COMPILE_BYTECODE := 1

BUILDER ?= docker
TEST_PROCESSES ?= 2
COMMIT = $(shell git describe --always --abbrev=40 --exclude '*' --dirty=-changed)

.PHONY: help setup run loop test test-fast test-slow lint bench images clean

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

setup: .venv/installed ## Make .venv from the lock file

.venv/installed: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --quiet --python $(PYTHON)
	@touch $@

build/uv/bin/uv:
	$(PYTHON) -m venv build/uv
	build/uv/bin/pip install --quiet uv==$(UV_VERSION)

run: setup ## Run the whole pipeline on handwritten digits, and say where to look
	.venv/bin/darkroom run configs/digits.yaml

loop: setup ## Play a model's life in production: change, alert, retraining, canary (some minutes)
	.venv/bin/python -m benchmarks.loop

test: lint ## Lint, check types and run every test
	.venv/bin/python -m pytest -n $(TEST_PROCESSES) --dist loadfile

test-fast: setup ## Run the tests that start no TensorFlow, no Beam and no process
	.venv/bin/python -m pytest -n $(TEST_PROCESSES) --dist loadfile -m "not slow"

test-slow: setup ## Run the tests that test-fast leaves out
	.venv/bin/python -m pytest -n $(TEST_PROCESSES) --dist loadfile -m slow

lint: setup ## Check style, types and who imports whom
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: setup ## Measure against peers, side by side (some minutes)
	.venv/bin/python -m benchmarks

images: ## Build every component's image; BUILDER=docker or BUILDER=buildah
ifeq ($(BUILDER),docker)
	REVISION=$(COMMIT) docker buildx bake --file docker/docker-bake.hcl --load
else ifeq ($(BUILDER),buildah)
	REVISION=$(COMMIT) docker/build-with-buildah.sh
else
	$(error BUILDER is docker or buildah, not '$(BUILDER)')
endif

clean: ## Remove the environment and what was built; runs and data stay
	rm -rf .venv build
