# Everything one can do here; `make` alone lists it. Each target makes what it needs and can be run again.
PYTHON ?= python3
VENV ?= .venv
PEERS ?= .venv-peers
MILVUS ?= .venv-milvus
# More options for pip, such as: make setup PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PIP_FLAGS ?=
ROUNDS ?= 1000

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS_STAMP := $(PEERS)/.installed
INSTALL := -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS)

.DEFAULT_GOAL := help
.PHONY: help setup demo notebooks browser check test gpu-test crash lint docker-check bench bench-setup clean

help: ## List what can be done
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

setup: $(STAMP) ## Make .venv and install nearfield with its tested versions

# Torch comes first: it is the largest, and what depends on it then finds it there.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or later is needed: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) -c constraints.txt torch==2.13.0
	$(BIN)/python $(INSTALL) -c constraints.txt -e '.[cpu,models,dev]'
	touch $@

demo: $(STAMP) ## Describe a thing, find the word: 12,000 dictionary entries, real model
	$(BIN)/nearfield demo

notebooks: $(STAMP) ## Jupyter Lab on loopback with the notebooks of examples/: embed, search, tune; pictures; answers with sources
	$(BIN)/python $(INSTALL) -c constraints.txt -e '.[cpu,models,notebooks]'
	$(BIN)/jupyter lab --ip=127.0.0.1 --ServerApp.root_dir=examples

browser: ## Install Debian's chromium and its driver for the tests of the page, if one may and they are missing
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq chromium chromium-driver >/dev/null; } || echo "no chromium here: the page is not tested in a browser"

check: lint ## Style, types and the quick tests
	$(BIN)/python -m pytest -m 'not slow and not gpu' -n 2

test: lint browser ## Style, types and every test
	$(BIN)/python -m pytest -n 2 --dist worksteal

gpu-test: $(STAMP) ## The tests that need a graphics card
	$(BIN)/python -m pytest -m gpu tests/gpu

crash: $(STAMP) ## Kill a writing process ROUNDS=1000 times and check what is left
	NEARFIELD_CRASH_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest tests/durability/test_kill.py --timeout 0

lint: $(STAMP) ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docker-check: $(STAMP) ## What the images install resolves together; needs a network, but no container engine
	$(BIN)/python docker/check.py

bench-setup: $(PEERS_STAMP) ## Install the systems to compare with, in environments of their own

$(PEERS_STAMP): benchmarks/peers/requirements.txt
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python $(INSTALL) torch==2.13.0
	$(PEERS)/bin/python $(INSTALL) -r $<
	test -x $(MILVUS)/bin/python || $(PYTHON) -m venv $(MILVUS)
	$(MILVUS)/bin/python $(INSTALL) milvus==2.3.5 pymilvus==2.3.7 'setuptools<81' 'numpy<2' 'marshmallow<4'
	touch $@

bench: $(STAMP) $(PEERS_STAMP) ## Measure against them; prints ratios, writes benchmarks/results
	$(BIN)/python -m benchmarks.run

clean: ## Remove virtual environments, caches and the demo's data
	rm -rf $(VENV) $(PEERS) $(MILVUS) demo-data build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
