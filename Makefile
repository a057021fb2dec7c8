# The few verbs of this project. Everything runs inside .venv, which the first verb that needs it makes
# from the locked, hashed requirements; a machine needs Python 3.11 or newer, pip and make.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo setup models test check bench bench-peers budget fuzz-engine torture docs lock clean

demo: setup models            ## run the refund desk on the embedded model and show what was decided
	$(BIN)/remit demo

setup: $(STAMP)               ## make the virtual environment from the lock

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
	@touch $(STAMP)

models: setup                 ## fetch and verify the embedded model's weights (about 490 MB, once)
	$(BIN)/remit models pull

test: setup                   ## all tests; offline once set up
	$(BIN)/python -m pytest -n auto --dist worksteal -q

check: setup                  ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	PYTHONPATH=runtime:adapters $(BIN)/lint-imports

bench: setup                  ## measure; nothing here fails on time
	$(BIN)/python -m pytest -q -s -p no:randomly -o python_files='bench_*.py' -o testpaths=benchmarks benchmarks

bench-peers: setup            ## measure the engines beside other libraries, each in an environment under .bench
	PYTHONPATH=benchmarks $(BIN)/python -m peers --page docs/performance.md $(BENCH_OPTIONS)

budget: setup                 ## count the interpreter instructions of a decision; fails when they grow by 10 %
	$(BIN)/python benchmarks/check_budget.py

fuzz-engine: setup            ## compiled policies against Cedar on N random pairs (300000); REMIT_FUZZ_SEED repeats
	$(BIN)/python tests/engine/engine_fuzz.py $(or $(N),300000)

torture: setup                ## kill, starve and stop the runtime at random and check the ledger (KILLS=2000, STORE=…)
	$(BIN)/python tests/torture/torture.py --kills $(or $(KILLS),2000) $(if $(STORE),--store $(STORE))
	$(BIN)/python tests/torture/torture_kill.py --runs $(or $(RUNS),100) $(if $(STORE),--store $(STORE))
	$(if $(STORE),$(BIN)/python tests/torture/torture_heads.py --mutations $(or $(MUTATIONS),10000) --store $(STORE))
	$(BIN)/python tests/torture/torture_disk.py --rounds $(or $(ROUNDS),20)
	$(BIN)/python tests/torture/torture_tamper.py --attempts $(or $(ATTEMPTS),1000)

docs: setup                   ## execute every code block of the documentation
	$(BIN)/python -m pytest -n auto --dist worksteal -q tests/docs

lock:                         ## renew requirements.lock (maintainers; needs uv)
	uv pip compile --universal --generate-hashes --python-version 3.11 --no-annotate --no-header \
		--group dev --all-extras --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .benchmarks .bench
