# `make demo` and `make test` do all of their own set-up; they need Python 3.11 or newer with venv, and
# for the fast simulated board g++.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Debian's venv has no pip of its own unless python3-venv is installed; the system's pip installs into it then.
PIP = $$($(BIN)/python -m pip --version >/dev/null 2>&1 && echo $(BIN)/python -m pip || echo $(PYTHON) -m pip --python $(BIN)/python)
INSTALL = $(PIP) install --quiet --disable-pip-version-check -c constraints.txt
# mypy wants the folders under their import names, which an editable install keeps from it.
TYPES := build/types

.DEFAULT_GOAL := help
.PHONY: help demo test lint types check mutants clean

help:
	@echo "make demo    run the digits network on the simulated board"
	@echo "make test    linter, types and all tests"
	@echo "make lint    ruff: rules and format"
	@echo "make types   mypy"
	@echo "make check   lint and types"
	@echo "make mutants break each rule on purpose: which test notices? (half an hour)"
	@echo "make clean   remove build products and the virtual environment"

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV) >/dev/null || $(PYTHON) -m venv --clear --without-pip $(VENV)

# Nothing that only training or testing needs.
$(VENV)/demo.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing what the demo needs into $(VENV) (once)"
	$(INSTALL) -e '.[sim]'
	@touch $@

$(VENV)/test.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing what the tests need into $(VENV) (once)"
	$(INSTALL) -e '.[test]'
	@touch $@ $(VENV)/demo.stamp

demo: $(VENV)/demo.stamp
	$(BIN)/xnorgrid demo

lint: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/test.stamp
	@rm -rf $(TYPES) && mkdir -p $(TYPES)/xnorgrid
	@ln -s $(CURDIR)/sw/*.py $(CURDIR)/sw/py.typed $(CURDIR)/sw/models $(CURDIR)/sw/geometry \
		$(CURDIR)/hw $(CURDIR)/sim $(CURDIR)/boards $(TYPES)/xnorgrid/
	MYPYPATH=$(TYPES) $(BIN)/mypy

check: lint types

test: check
	$(BIN)/pytest -n 2 --dist worksteal

mutants: $(VENV)/test.stamp
	$(BIN)/python tests/mutants.py --markdown docs/mutants.md

clean:
	rm -rf build dist *.egg-info $(VENV)
