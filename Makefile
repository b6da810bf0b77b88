# Everything here makes what it needs: a virtual environment, packages, servers. Nothing but Python 3.11+ and make.
.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?= python3
UV_VERSION := 0.13.9
PY := .venv/bin/python
UV := $(PY) -m uv
ARGS ?=

# numba and Python keep compiled code beside the sources; without it every start is seconds slower.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup setup-dev demo test test-long test-numeric check simulate faults scale bench bench-encode bench-api bench-isolation bench-sizes docs lock verify-page audit starter-bundle wheel interrupts clean

help: ## Say what each target does
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.demo ## Make .venv with what the demo and a worker need

setup-dev: .venv/.dev ## Make .venv with everything: training, tests, checks

.venv/bin/uv:
	@echo "== making .venv ($$($(PYTHON) --version))" >&2
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || { echo "Python 3.11 or 3.12 is needed: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.demo: requirements/demo.txt pyproject.toml | .venv/bin/uv
	@if [ -e .venv/.dev ]; then echo "== .venv already holds the development packages" >&2; else \
	  echo "== installing packages (about 1 GB, a minute on a fresh machine)" >&2; \
	  $(UV) pip install --quiet --compile-bytecode --no-deps --require-hashes -r requirements/demo.txt; fi
	@$(UV) pip install --quiet --no-deps -e .
	@touch $@

.venv/.dev: requirements/dev.txt pyproject.toml clients/python/pyproject.toml studies/pyproject.toml | .venv/bin/uv
	@echo "== installing packages for training and tests (about 5 GB with torch, a few minutes on a fresh machine)" >&2
	@$(UV) pip install --quiet --no-deps --require-hashes -r requirements/dev.txt
	@$(UV) pip install --quiet --no-deps -e . -e clients/python -e studies
	@touch $@

demo: setup ## Watch shoppers being tagged: real Kafka, store, worker (ARGS="--events PATH --rate N ...")
	@.venv/bin/simpersona demo $(ARGS)

# Three processes, a file of tests each, on two cores: most tests wait for servers. Torch's threads would fight over the same cores.
test: setup-dev ## Run all tests on real servers (ARGS="-m 'not faults'" for the quick ones, "-n 0" one by one)
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

test-long: setup-dev ## Show with real processes what make test proves in a quicker way; minutes (docs/testing.md)
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile tests/long $(ARGS)

test-numeric: setup-dev ## Run the numeric tests as on another processor: plain vector units, other last bits
	@OMP_NUM_THREADS=1 ATEN_CPU_CAPABILITY=default OPENBLAS_CORETYPE=Nehalem $(PY) -m pytest -m numeric --rounding 1 $$(grep -rl --include='*.py' 'mark\.numeric' tests) $(ARGS)

check: setup-dev ## Lint, format, types, import rules
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

interrupts: setup-dev ## Send SIGINT and SIGTERM at 50 random moments to each long command (ARGS="-k worker")
	@SIMPERSONA_TEST_MOMENTS=50 $(PY) -m pytest tests/faults/test_interrupts.py $(ARGS)

simulate: setup-dev ## Live through histories of the live loop (ARGS="--histories 100000 --seed 1")
	@PYTHONHASHSEED=0 $(PY) -m tests.simulation $(ARGS)

faults: setup-dev ## Try each fault on real processes, by seed; hours (ARGS="--seeds 20", docs/reliability.md)
	@$(PY) -m tests.reliability $(ARGS)

scale: setup-dev ## Run what needs several brokers or store nodes; minutes (docs/scale.md)
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n 0 tests/scale $(ARGS)

bench: setup-dev ## Race the live path against its peers (docs/benchmarks.md)
	@$(PY) -m bench.live_path $(ARGS)

bench-encode: setup-dev ## Buyers per second of batch encode against the matmul limit (docs/benchmarks.md)
	@$(PY) -m bench.encode $(ARGS)

bench-api: setup-dev ## Persona reads beside a running worker (docs/benchmarks.md)
	@$(PY) -m bench.api $(ARGS)

bench-isolation: setup-dev ## What a good store waits while another attacks the API (docs/benchmarks.md)
	@$(PY) -m bench.isolation $(ARGS)

bench-sizes: setup-dev ## What buyers and events take in the store, Kafka and the archive (docs/scale.md)
	@OMP_NUM_THREADS=1 $(PY) -m bench.sizes $(ARGS)

docs: setup-dev ## Make the generated documents anew
	@$(PY) -m ops.documents.pages

verify-page: setup-dev ## Make docs/verify.md anew: what verify compares, and what it says to damage
	@$(PY) -m tests.ops.verify.page

lock: setup-dev ## Pin requirements/*.txt anew from pyproject.toml
	@./requirements/lock

audit: setup-dev ## Bills of materials, and known vulnerabilities of what is pinned (ARGS="--database all.zip" offline)
	@$(PY) -m ops.dependency_audit $(ARGS)

starter-bundle: setup-dev ## Train the committed starter bundle again
	@./inference/make_starter_bundle

wheel: setup-dev ## Build the wheels of simpersona and of its client into dist/, without an index
	@rm -rf build clients/python/build *.egg-info clients/python/src/*.egg-info # setuptools adds what it finds there
	@for project in . clients/python; do $(UV) build --quiet --wheel --python $(PY) --offline --no-build-isolation --out-dir dist $$project; done

clean: ## Stop the servers; delete .venv, data folder and caches
	@[ ! -x .venv/bin/simpersona ] || .venv/bin/simpersona stack down || true
	@rm -rf .venv .simpersona .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
