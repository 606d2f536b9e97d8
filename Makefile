# Two targets for everybody: `make demo` and `make test`. Both set up what they need in .venv, a
# private virtual environment in this folder; the system's Python is never changed.

# The first Python that is new enough; `make PYTHON=/path/to/python test` names another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	>/dev/null 2>&1 && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
# pip would write bytecode on one core only, and also of what nobody imports: that takes nearly as
# long as all else that it does. What can't be compiled is left to whoever imports it.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile \
	--constraint constraints.txt
BYTECODE := $(BIN)/python -m compileall -qq -j 0 -x '/(tests|pip)/' $(VENV)/lib || true

# Images of CI machines like to switch bytecode off; hundreds of short processes would each compile
# overnight anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test check style types format lock clean simulate mutate crash bench bench-peers figures page

help: ## What can be made here
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/'

demo: $(VENV)/demo.done ## Run the example manifest against the bundled emulator: no account, no cost
	@$(BIN)/overnight demo

# The type checker runs on one core, so it runs beside the tests; what it found is shown after them.
TYPES := $(VENV)/types.txt
test: style ## Run every check and the whole test suite
	@$(MAKE) --no-print-directory types >$(TYPES) 2>&1 & types=$$!; \
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS); tested=$$?; \
	wait $$types; typed=$$?; cat $(TYPES); exit $$((tested ? tested : typed))

check: style types ## Run the linters, the type checker and the import contract

style: $(VENV)/dev.done
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports

types: $(VENV)/dev.done
	@$(BIN)/mypy

SEEDS ?= 1000
FROM ?= 0
simulate: $(VENV)/dev.done ## Play simulated nights of faults and crashes (SEEDS=10000 FROM=0)
	@SIMULATION_SEEDS=$(SEEDS) SIMULATION_FROM=$(FROM) $(BIN)/python -m pytest -n 2 \
		--dist worksteal tests/simulation/test_nights.py $(ARGS)

mutate: $(VENV)/dev.done ## Change the heart of the code in one place after another: do tests notice?
	@$(BIN)/python -c 'import cosmic_ray' 2>/dev/null || $(PIP) 'cosmic-ray>=8.4,<9'
	@$(BIN)/python -m tests.mutation

KILLS ?= 100
SEED ?= 0
crash: $(VENV)/dev.done ## Kill and freeze workers, at every place and at KILLS random moments
	@KILLS=$(KILLS) SEED=$(SEED) $(BIN)/python -m pytest -n 2 --dist worksteal tests/crash $(ARGS)

ROUNDS ?= 5
RESULTS ?= bench/results
PEERS := .venv-bench
# Each prints and keeps its table even where an aim is missed; the others still have their turn.
bench: $(VENV)/dev.done ## Measure speed, memory, polls and lag: let the machine rest (ROUNDS=5)
	@missed=0; for each in "throughput --rounds $(ROUNDS)" "reading --rounds $(ROUNDS)" \
		"recovery --rounds $(ROUNDS)" "downloads --rounds $(ROUNDS)" \
		"pacing --rounds $(ROUNDS)" \
		"pacing_sockets --jobs 128 --service 8" \
		"flight --service 60 --spread 0.2" "load --rounds $(ROUNDS)" \
		"footprint --rounds $(ROUNDS)"; do \
		echo "bench.$$each" >&2; \
		$(BIN)/python -m bench.$$each --results $(RESULTS) || missed=1; \
	done; exit $$missed

bench-peers: $(VENV)/dev.done $(PEERS)/done ## The same beside DBOS, Huey, procrastinate, Celery; and kill -9
	@missed=0; for each in killed "throughput --jobs 1000 --killed $(RESULTS)/killed.json"; do \
		echo "bench.$$each" >&2; \
		$(BIN)/python -m bench.$$each --peers $(PEERS)/bin/python --rounds $(ROUNDS) \
			--results $(RESULTS) $(ARGS) || missed=1; \
	done; exit $$missed

# A missed aim ends neither: what was found is what the pages show.
figures: ## Measure all of it, and bring it into docs/performance.md and docs/scale.md
	@$(MAKE) --no-print-directory --keep-going bench bench-peers || true
	@$(MAKE) --no-print-directory page

page: $(VENV)/dev.done ## Bring what was found into the pages
	@$(BIN)/python -m bench.page --results $(RESULTS)

format: $(VENV)/dev.done ## Bring the code into shape
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: $(VENV)/dev.done ## Write constraints.txt anew from what is installed
	@$(BIN)/python -m pip freeze --exclude-editable --disable-pip-version-check > constraints.txt

clean: ## Remove what was made here, the environments included
	@rm -rf $(VENV) $(PEERS) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "overnight needs Python 3.11 or newer; none was found." \
		"Install one, or name it: make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "This Python can't make virtual" \
		"environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/demo.done: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing overnight and what the demo needs ..."
	@$(PIP) --editable '.[demo]'
	@$(BYTECODE)
	@touch $@

$(VENV)/dev.done: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing overnight and what its tests need ..."
	@$(PIP) --editable '.[demo,dev]'
	@$(BYTECODE)
	@touch $@ $(VENV)/demo.done

$(PEERS)/done: bench/peers/requirements.txt constraints.txt $(BIN)/python
	@echo "Installing what overnight is measured against into $(PEERS) ..."
	@$(BIN)/python -m venv $(PEERS)
	@echo '*' > $(PEERS)/.gitignore
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --requirement bench/peers/requirements.txt
	@touch $@
