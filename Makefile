# All a person or CI runs. A fresh machine needs python3 (3.11 or later), make and a package index.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
# For scripts that run without pytest: the reference service is at the root, the test server in tests/support. Not for
# the rest: a path that a user's shell does not have would hide that a command finds its service only by it.
WITH_SUPPORT := PYTHONPATH=$(CURDIR):$(CURDIR)/tests/support

# make torture SECONDS=3600; a seed that fails prints what to give as TORTURE="..." to repeat it
SECONDS ?= 300
TORTURE ?=
# make test TESTS=tests/unit, make test PYTEST="-k refused"; JOBS=0 runs them one after the other, in one process
TESTS ?=
PYTEST ?=
JOBS ?= auto
UPGRADE ?=
DEMO ?=
BENCH ?=
REF ?= HEAD
VERSIONS ?= 3.11 3.12 3.13

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench bench-against bench-kernel taken-over torture test-all-pythons constraints clean

help: ## List what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | while IFS='|' read -r name text; do \
		printf '  make %-18s %s\n' "$$name" "$$text"; done

demo: $(VENV)/run.stamp ## Run a few hundred orders through the reference service and look at them
	$(RUN)/sagalog demo $(DEMO)
	@printf '\nsagalog is in %s: . %s/activate lets you call it by its name\n' "$(RUN)" "$(RUN)"

test: $(VENV)/all.stamp ## Run every test, on a real PostgreSQL (SAGALOG_TEST_POSTGRES=postgresql://... uses yours)
	$(RUN)/python -m pytest --numprocesses $(JOBS) --maxprocesses 4 --dist worksteal $(PYTEST) $(TESTS)

check: $(VENV)/all.stamp ## Check style, types and what each room may import
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/pyright --pythonpath $(RUN)/python
	$(RUN)/lint-imports

format: $(VENV)/all.stamp ## Format the code, and repair what can be repaired by itself
	$(RUN)/ruff check --fix-only .
	$(RUN)/ruff format .

bench: $(VENV)/all.stamp ## Measure against the floor: the same rows by the plain drivers
	$(WITH_SUPPORT) $(RUN)/python -m tests.benchmarks.bench $(BENCH)

bench-against: $(VENV)/all.stamp ## Measure against an earlier commit, in turns: make bench-against REF=HEAD~5 BENCH="--part work"
	$(WITH_SUPPORT) $(RUN)/python -m tests.benchmarks.against $(REF) $(BENCH)

bench-kernel: $(VENV)/all.stamp ## Measure what the kernel and the rows cost, without a store
	$(WITH_SUPPORT) $(RUN)/python -m tests.benchmarks.kernel $(BENCH)

taken-over: $(VENV)/all.stamp ## Measure how long the sagas of a killed worker stand still: make taken-over BENCH="--kills 20"
	$(WITH_SUPPORT) $(RUN)/python -m tests.benchmarks.taken_over $(BENCH)

torture: $(VENV)/all.stamp ## Strike workers, servers and databases for SECONDS (300) and check what is left
	$(WITH_SUPPORT) $(RUN)/python -m torture --seconds $(SECONDS) $(TORTURE)

test-all-pythons: ## Run the unit and contract tests on every supported Python of this machine
	@.ci/all-pythons $(VERSIONS)

constraints: ## Write the hashed constraints anew (needs uv; UPGRADE=--upgrade takes the newest versions)
	.ci/constrain $(UPGRADE)

clean: ## Remove what was made: environments, caches, distributions
	rm -rf $(VENV) $(VENV)-* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests domain projections .ci -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The demo needs a tenth of what the tests need, so it does not wait for the rest.
$(VENV)/run.stamp: .ci/constraints-run.txt .ci/install.py pyproject.toml
	@echo "Setting up $(VENV) to run sagalog ..."
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("error: Python 3.11 or later is needed, this is " + sys.version.split()[0] + "\nhint: make PYTHON=/path/to/python3.11 ...")'
	@$(PYTHON) .ci/install.py $(VENV) .ci/constraints-run.txt
	@touch $@

$(VENV)/all.stamp: .ci/constraints.txt $(VENV)/run.stamp
	@echo "Setting up $(VENV) to test sagalog ..."
	@$(PYTHON) .ci/install.py $(VENV) .ci/constraints.txt
	@touch $@
