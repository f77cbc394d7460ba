# Everything a person needs; `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
SITE := src/halonyx/web/site
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/$(VENV)

.PHONY: help setup web tools run demo demo-mitm threat-table test test-decoders test-others test-modules test-journeys test-private check vectors bench screenshots soak mutations wheel format clean

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

web: $(SITE)/index.html ## Build the browser client if its sources changed

web/node_modules/.ready: web/package.json web/package-lock.json
	@command -v npm >/dev/null || { command -v apt-get >/dev/null && apt-get install -y nodejs npm; }
	@node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1)' \
	|| { echo "The browser client is built with Node.js 20.19 or newer (of 22, 22.12); this is $$(node --version)." >&2; exit 1; }
	@cd web && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(SITE)/index.html: web/node_modules/.ready web/index.html web/vite.config.ts $(shell find web/src web/public -type f)
	@cd web && npx vite build --logLevel warn
	@touch $@

# command:package of what the tests drive; at RUNLEVEL=1 Debian's packages start no service
TOOLS := chromium:chromium firefox-esr:firefox-esr turnserver:coturn ip:iproute2 nginx:nginx-light systemd-analyze:systemd

tools: ## Install the browsers, the TURN server and the proxy that the tests drive, where they are missing
	@missing=; for tool in $(TOOLS); do command -v $${tool%:*} >/dev/null || missing="$$missing $${tool#*:}"; done; \
	test -z "$$missing" || { command -v apt-get >/dev/null && RUNLEVEL=1 apt-get install -y --no-install-recommends $$missing; } \
	|| { echo "Please install:$$missing" >&2; exit 1; }

run: setup web ## Start the relay with the browser client on http://localhost:3000
	@$(BIN)/halonyx relay

demo: setup ## Two people, one relay, step by step
	@$(BIN)/python demo/demo.py

demo-mitm: setup ## A relay swaps Bob's key for its own, and fails in front of you
	@$(BIN)/python demo/mitm.py

threat-table: setup ## Write what lying relays achieve into docs/threat-model.md
	@PYTHONPATH=tests:demo $(BIN)/python -P tests/hostile/threat_table.py

check: setup web/node_modules/.ready ## Lint, types and import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/bandit --quiet --recursive --configfile pyproject.toml src
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@cd web && npx tsc --noEmit && npx eslint . --max-warnings 0

test: check web tools ## Every test
	@# The search for what breaks a decoder takes the processor time that the others leave.
	@$(MAKE) --no-print-directory --jobs 3 test-decoders test-others

test-decoders:
	@said=$$(nice -n 19 $(BIN)/python -m pytest tests/fuzz 2>&1) || status=$$?; echo "$$said"; exit $$status

test-others:
	@# Those of the browser client's modules keep the processors busy, those that kill processes wait for time limits.
	@$(MAKE) --no-print-directory --output-sync=target test-modules test-journeys test-private
	@# Many of them wait for processes of their own: two for each processor.
	@$(BIN)/python -m pytest --numprocesses $$((2 * $$(nproc))) --dist worksteal $(addprefix --ignore tests/,fuzz journeys browser)
	@# Two at a time; the tests of a module share a relay, and in this order no long module comes last.
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder tests/browser --ignore tests/browser/test_files_private.py

test-modules:
	@cd web && npx vitest run

test-journeys:
	@$(BIN)/python -m pytest tests/journeys

test-private:
	@# WebRTC takes whatever networks it finds; which addresses it tells is tested where there is loopback alone.
	@# (Where no network namespace may be made, among the networks there are.)
	@alone=(unshare $(if $(filter-out 0,$(shell id -u)),--map-root-user) --net sh -c 'ip link set lo up && exec "$$@"' sh); \
	"$${alone[@]}" true 2>/dev/null || alone=(); \
	"$${alone[@]}" $(BIN)/python -m pytest tests/browser/test_files_private.py

vectors: setup ## Make the known-answer files again
	@$(BIN)/python vectors/generate.py

bench: setup web tools ## Every published number, as ratios in one run
	@$(BIN)/uv sync --quiet --frozen --inexact --group bench
	@$(BIN)/python bench/core.py
	@$(BIN)/python bench/relay.py
	@PYTHONPATH=tests $(BIN)/python bench/web.py
	@PYTHONPATH=tests $(BIN)/python bench/files.py
	@PYTHONPATH=tests $(BIN)/python -P bench/files_web.py

screenshots: setup web tools ## Every screen of the browser client, to build/screenshots
	@PYTHONPATH=tests $(BIN)/python tests/browser/tours.py build/screenshots

soak: setup ## The long runs (about an hour): kills, power failures, fuzzing, the clock, slow clients
	@HALONYX_SOAK=1 $(BIN)/python -m pytest tests/journeys/test_crash_model.py
	@HALONYX_SOAK=1 $(BIN)/python -m pytest tests/fuzz
	@HALONYX_SOAK=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal tests/relay/test_power_loss.py tests/relay/test_schemathesis.py
	@$(MAKE) --no-print-directory mutations
	@# These ask the clock: nothing else may run.
	@$(BIN)/python -m pytest tests/relay/soak_timing.py tests/relay/soak_slow_clients.py

mutations: setup web/node_modules/.ready ## Switch each guard off and see its test fail; writes the table
	@PYTHONPATH=tests $(BIN)/python -P tests/mutations/run.py

wheel: setup ## Build a wheel that carries the browser client
	@test -f $(SITE)/index.html || { echo "There is no build of the browser client: 'make web' first." >&2; exit 1; }
	@$(BIN)/uv build --wheel --quiet --out-dir dist

format: setup ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --quiet . || true

clean: ## Remove what was built
	rm -rf $(VENV) build dist $(SITE) web/node_modules
