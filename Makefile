# Everything here works from a clean clone with Python 3.11 and make.
#
#   make serve ARGS="--port 9000"      run the server with the embedded model
#   make test                          what a change must pass
#   make test VENV=~/venvs/cuda        in another virtual environment, whose torch stays as it is
#   make test INSTALL=0 PYTHON=python  with an interpreter that has everything, installing nothing

VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3 || command -v python)
INSTALL ?= 1
TORCH ?= torch==2.13.0
ARGS ?=
PYTEST_ARGS ?=
MARKED =
MAKEFLAGS += --jobs=2  # types are checked beside the tests

ifeq ($(INSTALL),0)
RUN := PYTHONPATH=server:kernels $(PYTHON)
READY :=
else
RUN := $(VENV)/bin/python
READY := $(VENV)/.installed
endif
ifneq ($(words $(VENV)),1)
$(error VENV must be one folder without spaces, got "$(VENV)")
endif
# Modules are compiled when they are first imported, which most are not, and are kept so.
unexport PYTHONDONTWRITEBYTECODE
PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile

.DEFAULT_GOAL := help
.PHONY: help install serve test test-all lint types pytest format docs bench train eval wheel clean
.PHONY: audit distclean fuzz

help:  ## What can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST)

$(VENV)/.created:
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.torch: $(VENV)/.created
	$(VENV)/bin/python -c 'import torch' 2>/dev/null || $(PIP) '$(TORCH)' numpy -c constraints.txt
	touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml constraints.txt constraints-cpu.txt
	if $(VENV)/bin/python -c 'import sys, torch; sys.exit(torch.version.cuda is not None)'; \
	then $(PIP) -e '.[dev]' -c constraints.txt -c constraints-cpu.txt; \
	else $(PIP) -e '.[dev]' -c constraints.txt; fi
	touch $@

install: $(READY)  ## Create the virtual environment, check messages of commits
	@if test -e .git && git rev-parse --git-dir >/dev/null 2>&1; \
	then git config core.hooksPath >/dev/null || git config core.hooksPath .githooks || true; fi

serve: $(READY)  ## Run the server; ARGS are those of unmask serve
	$(RUN) -m unmask serve $(ARGS)

test: lint types pytest  ## Lint, check types, test

test-all: MARKED = -m 'exhaustive or not exhaustive'
test-all: test  ## The same with every test, exhaustive ones too

lint: $(READY)  ## Check style, format and messages of commits
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) .githooks/commit-msg --since main

types: $(READY)  ## Check types
	$(RUN) -m mypy

pytest: $(READY)  ## Test only; PYTEST_ARGS are pytest's
	$(RUN) -m pytest -n auto --dist worksteal $(MARKED) $(PYTEST_ARGS)

format: $(READY)  ## Put the code into shape
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

docs: $(READY)  ## Write the pages of settings and flags, build the site of docs/ into site/
	$(RUN) -m tools.reference
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict --quiet

fuzz: $(READY)  ## Send 20,000 cases that schemathesis makes of /openapi.json; ARGS are benchmarks.fuzz's
	test -d .fuzz || $(PYTHON) -m venv .fuzz
	.fuzz/bin/python -m pip install --quiet --disable-pip-version-check 'schemathesis==4.32.*'
	$(RUN) -m benchmarks.fuzz $(ARGS)

bench: $(READY)  ## Measure the server on this machine; writes benchmarks/results/
	$(RUN) -m benchmarks.serve_bench $(ARGS)

train: $(READY)  ## Train the embedded model anew (hours)
	$(RUN) -m training.train $(ARGS)

eval: $(READY)  ## Measure the embedded model's answers; ARGS are those of unmask eval
	$(RUN) -m unmask eval $(ARGS)

wheel: $(READY)  ## Build dist/unmask-*.whl
	$(RUN) -m pip wheel --no-deps --quiet --wheel-dir dist .

audit:  ## Look for known vulnerabilities of the pinned dependencies
	test -d .audit || $(PYTHON) -m venv .audit
	.audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	.audit/bin/pip-audit -r constraints.txt --no-deps --disable-pip

clean:  ## Remove what tools leave behind
	rm -rf build dist site .audit .fuzz .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find server kernels tests training benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## Remove the virtual environment too
	rm -rf $(VENV)
