# What a person runs here. `make demo` and `make test` need Python 3.11 to 3.13 and make, nothing else.
#   PYTHON=/path/to/python   which Python builds the environment (the newest fitting one, if not given)
#   TOUR_ONLY=1              `make demo` stops everything after the tour
#   ARGS="-k pickup"         further arguments for pytest, `retail bench` or `retail demo`

SHELL := /bin/sh
BIN := .venv/bin
CODE := app.py retail inventory orders loyalty support deploy bench migrations tests

.DEFAULT_GOAL := help
.PHONY: help venv demo test check bench lock format clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^## //p' Makefile

## make demo      the shop with everything it needs, a guided tour, then it keeps serving
demo: venv
	@$(BIN)/retail demo $(if $(filter-out 0,$(TOUR_ONLY)),--tour-only) $(ARGS)

## make test      the tests
test: venv
	@$(BIN)/pytest -n 2 $(ARGS)

## make check     style, types, the rules of the house, migrations against models
check: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/retail db check

## make bench     how fast it is, beside the database's own limit
bench: venv
	@$(BIN)/retail bench $(ARGS)

## make format    put the code into the one format
format: venv
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

## make lock      resolve the dependencies of pyproject.toml anew, with hashes, for every Python and system
lock: build/lock/bin/uv
	build/lock/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --all-extras --python-version 3.11 \
		--no-emit-index-url --custom-compile-command "make lock" pyproject.toml --output-file requirements.lock

build/lock/bin/uv:
	deploy/find-python -m venv build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check "uv>=0.9,<1"

## make venv      .venv, from requirements.lock; the other targets call it
venv: .venv/project.stamp

# A stamp is written last, so that a build that was broken off does not count, and is begun anew the next time.
.venv/lock.stamp: requirements.lock
	@deploy/build-venv .venv requirements.lock
	@touch $@

.venv/project.stamp: .venv/lock.stamp pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

## make clean     delete what was made here: caches, builds, and the embedded database with its data
clean:
	@if [ -x $(BIN)/python ]; then $(BIN)/python -c "from retail.kernel import embedded; embedded.erase()"; fi
	rm -rf build dist .data .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
