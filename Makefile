# make study          search students under the budget on the built-in data, and write a report
# make test           format, lint, types, tests
# make test-fast      the fast tests: no training, no server, no browser, no real data
# make fuzz           try damaged inputs of every parser, and count what is neither read nor refused in one line
# make vulnerabilities  ask PyPI for known vulnerabilities of the exact versions
# make test-numerics  every test that trains, under three instruction sets, 1 and 2 threads, five seeds
# make bench          measure ratios of times, each in one interleaved run, and write benchmarks/README.md
# make faults         kill processes, fill disks, restart servers, and count the trials that studies lose (minutes)
# make docs           build the documentation's pages into build/pages
# make scale          measure searches of thousands of trials and workers whose trainings are simulated (hours)
# make ui             open the tracked runs in MLflow on this machine
# make clean          remove what the commands above made, including studies in runs/

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
ARGS ?=
# One process per core; the tests of a file run in one process, so that its fixtures are made once.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile

.PHONY: help install study test test-fast fuzz vulnerabilities test-numerics bench faults scale docs ui clean constraints

help:
	@sed -n 's/^# make/make/p' Makefile

install: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say which with make PYTHON=python3.12")'
	@echo "Installing into $(VENV) (once; a few minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

study: $(READY)
	@$(BIN)/python -m harness.study $(ARGS)

test: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST) --cov --cov-report=term:skip-covered $(ARGS)

test-fast: $(READY)
	$(PYTEST) -q -m "not (slow or trains or server or browser or real)" $(ARGS)

fuzz: $(READY)
	@$(BIN)/python -m tests.fuzz $(ARGS)

vulnerabilities: $(READY)
	@$(BIN)/python -m tests.vulnerabilities

test-numerics: $(READY)
	$(BIN)/python -m tests.numerics $(ARGS)

bench: $(READY)
	@$(BIN)/python -m benchmarks $(ARGS)

faults: $(READY)
	@$(BIN)/python -m benchmarks.faults $(ARGS)

docs: $(READY)
	@$(BIN)/python -m sphinx --quiet --fresh-env --fail-on-warning --keep-going --conf-dir docs . build/pages
	@echo "Open build/pages/docs/index.html"

scale: $(READY)
	@$(BIN)/python -m benchmarks.scale $(ARGS)

ui: $(READY)
	@$(BIN)/python -m harness.ui $(ARGS)

constraints:
	@(echo "# Exact versions that the tests ran with (CPython 3.11). Regenerate: make constraints"; \
		$(BIN)/python -m pip freeze --all --exclude pip --exclude-editable | sed 's,+.*,,') > constraints.txt

clean:
	rm -rf $(VENV) runs build *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
