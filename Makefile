# Everything a person needs; `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/$(VENV)

.PHONY: help setup run demo test check vectors bench soak format clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.ready ## Install Python packages from the lock file into .venv

$(VENV)/.ready: pyproject.toml uv.lock
	@command -v python3 >/dev/null || { echo "Python 3.11 or newer is needed: install the package python3." >&2; exit 1; }
	@python3 -c 'import ensurepip' 2>/dev/null || { command -v apt-get >/dev/null && apt-get install -y python3-venv; }
	@test -x $(BIN)/python || python3 -m venv $(VENV)
	@test -x $(BIN)/uv && $(BIN)/uv --version | grep -q ' $(UV_VERSION)' || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv sync --quiet --frozen --inexact
	@touch $@

run: setup ## Start the relay on http://localhost:3000
	@$(BIN)/halonyx relay

demo: setup ## Two people, one relay, step by step
	@$(BIN)/python demo/demo.py

check: setup ## Lint, types and import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

test: check ## Every test
	@$(BIN)/python -m pytest --numprocesses auto --dist worksteal

vectors: setup ## Make the known-answer files again
	@$(BIN)/python vectors/generate.py

bench: setup ## Every published number, as ratios in one run
	@$(BIN)/uv sync --quiet --frozen --inexact --group bench
	@$(BIN)/python bench/core.py
	@$(BIN)/python bench/relay.py

soak: setup ## The long runs: 3,000 kills
	@HALONYX_SOAK=1 $(BIN)/python -m pytest tests/journeys/test_crash_model.py

format: setup ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --quiet . || true

clean: ## Remove what was built
	rm -rf $(VENV) build dist
