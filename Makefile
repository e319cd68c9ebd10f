# The development commands. `make` alone lists them.

# Any Python >= 3.11: make install PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := constraints.txt
PIP_INSTALL := $(BIN)/python -m pip install --constraint $(CONSTRAINTS)
# Tests use two processes of one thread each: more threads than cores makes the linear algebra slower, not faster.
WORKERS ?= 2
ARGS ?=
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) $(ARGS)
# Versions that make test-lowest takes instead of the lowest: LOWEST="torch==2.13.0"
LOWEST ?=

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: FORCE help install demo test coverage test-lowest test-prereleases lint format typecheck docs linkcheck tutorials build clean

help:  ## List the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 26

# Each stamp is newer than its inputs when that part of the environment is up to date.
$(VENV)/runtime.stamp: pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
	    f"scllmda needs Python 3.11 or newer, {sys.executable} is {sys.version.split()[0]}. Try: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --upgrade "pip>=25.1"
	$(PIP_INSTALL) --editable .
	touch $@

$(VENV)/test.stamp $(VENV)/doc.stamp $(VENV)/dev.stamp: $(VENV)/%.stamp: $(VENV)/runtime.stamp
	$(PIP_INSTALL) --group $*
	touch $@

install: $(VENV)/dev.stamp  ## Create .venv with the package (editable) and every development tool

demo: $(VENV)/runtime.stamp  ## Annotate simulated data, results in demo_output/
	$(BIN)/scllmda demo --output demo_output

test: $(VENV)/test.stamp  ## Run the tests (make test ARGS="tests/pp -k fasta" WORKERS=4)
	$(PYTEST)

coverage: $(VENV)/test.stamp  ## Run the tests and say which lines they reach (coverage.xml too)
	$(PYTEST) --cov --cov-report=term:skip-covered --cov-report=xml

test-lowest: .venv-lowest.txt  ## Run the tests with the lowest versions of all direct dependencies (Python 3.11)
	$(MAKE) test VENV=.venv-lowest CONSTRAINTS=$<

# Written anew where it changes alone, so that the environment is kept.
.venv-lowest.txt: FORCE
	@$(PYTHON) .ci/lowest.py $(LOWEST) > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
FORCE:

test-prereleases:  ## Run the tests with pre-releases of anndata, mudata, muon, pandas and scanpy
	$(MAKE) test VENV=.venv-prereleases CONSTRAINTS=.ci/prereleases.txt

lint: $(VENV)/dev.stamp  ## Check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(VENV)/dev.stamp  ## Mend style and formatting
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

typecheck: $(VENV)/dev.stamp  ## Check the types
	$(BIN)/mypy

docs: $(VENV)/doc.stamp  ## Build the documentation into docs/_build/html, warnings are errors
	$(BIN)/sphinx-build -W -n -b html docs docs/_build/html

linkcheck: $(VENV)/doc.stamp  ## Follow every link of the documentation to other sites (needs a network)
	$(BIN)/sphinx-build -b linkcheck docs docs/_build/linkcheck

tutorials: $(VENV)/dev.stamp  ## Run the notebooks in tutorials/ from clean kernels and keep their outputs (minutes)
	$(BIN)/python tutorials/execute.py

build: $(VENV)/dev.stamp  ## Build sdist and wheel into dist/
	$(BIN)/python -m build

clean:  ## Remove the environment and everything built
	rm -rf $(VENV) .venv-* .coverage coverage.xml .hypothesis .mypy_cache .pytest_cache .ruff_cache demo_output dist docs/_build docs/generated docs/tutorials
