# Everything one can do here. `make` alone lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := .venv-peers
ROUNDS ?= 1000

.DEFAULT_GOAL := help
.PHONY: help setup demo check test crash lint bench bench-setup clean

help: ## List what can be done
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## Make .venv and install nearfield with all it needs

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt torch==2.13.0
	$(BIN)/pip install -q -c constraints.txt -e '.[cpu,models,dev]'
	touch $@

demo: $(STAMP) ## Build and search a reverse dictionary of 12,000 meanings
	$(BIN)/nearfield demo

check: $(STAMP) lint ## Style, types and the quick tests; under a minute
	$(BIN)/python -m pytest -m 'not slow' -n 2

test: $(STAMP) lint ## Style, types and every test
	$(BIN)/python -m pytest -n 2

crash: $(STAMP) ## Kill a writing process ROUNDS times (1000) and check what is left
	NEARFIELD_CRASH_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest tests/durability/test_kill.py --timeout 0

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench-setup: ## Install the peers into a venv of their own
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install -q torch==2.13.0
	$(PEERS)/bin/pip install -q -r benchmarks/peers/requirements.txt

bench: $(STAMP) ## Measure against the peers; prints ratios, writes benchmarks/results
	$(BIN)/python -m benchmarks.run

clean: ## Remove virtual environments, caches and the demo's data
	rm -rf $(VENV) $(PEERS) demo-data build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
