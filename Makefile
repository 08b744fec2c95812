# Every target is complete on a fresh machine with Python 3.11 and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# Tests and benchmarks start the command hundreds of times: its modules are compiled once, whatever the machine says.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	@echo "Installing crispmap and its libraries in $(VENV): 2 to 7 GB, once: PyTorch brings CUDA along where its wheels do."
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[cluster,onnx]" --group dev --group docs
	@touch $@

demo: $(STAMP)  ## make a town, map it, refine the map, write the report (about 5 minutes)
	$(BIN)/crispmap demo --out demo --force --open

# Two processes of one thread each: more would not fit in the memory of a laptop.
test: $(STAMP)  ## run the default test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2

coverage: $(STAMP)  ## run it once more and list the lines that it does not reach: a fifth slower
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --cov --cov-report=term:skip-covered

browser:  ## install Chromium, which some long tests need, where apt-get may do so
	@command -v chromium chromium-browser google-chrome >/dev/null || \
	  { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq chromium; } || \
	  echo "Chromium is not here and cannot be installed: tests in a browser will be skipped."

qgis:  ## install QGIS, in which some tests open maps, where apt-get may do so
	@/usr/bin/python3 -c "import qgis.core" 2>/dev/null || \
	  { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq --no-install-recommends qgis python3-qgis; } || \
	  echo "QGIS is not here and cannot be installed: tests in it will be skipped."

slow: $(STAMP) browser  ## run the long tests too
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow -n 2

check: $(STAMP)  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)  ## rewrite the sources in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(STAMP)  ## make the guide's tables and the notebooks again, and check what README and docs show
	$(BIN)/python docs/make_tables.py
	$(BIN)/python docs/run_notebooks.py
	$(BIN)/python -m pytest -q tests/test_docs.py

site: $(STAMP)  ## build the documentation as a web site in dist/site, warnings as errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

viewer:  ## bundle the page of crispmap view with its map library anew (needs Node.js 20 or later with npm)
	cd viewer && npm ci --no-audit --no-fund && npm run --silent build

refiner: $(STAMP)  ## make the shipped refiner again: towns, spoilt scores, training (an hour and a half on two cores)
	OMP_NUM_THREADS=1 $(BIN)/python release/make_refiner.py

wheel: $(STAMP)  ## build wheel and sdist in dist/, install the wheel apart and try it, list its parts
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group release
	rm -rf dist/crispmap*
	$(BIN)/python -m build --outdir dist
	$(BIN)/python release/try_wheel.py dist
	$(BIN)/python release/parts.py dist/crispmap.cdx.json

bench: $(STAMP)  ## print what a person waits for, each beside its bare form (about 12 minutes with the cores alone)
	$(BIN)/python benchmarks/bench_startup.py --turns 2
	$(BIN)/python benchmarks/bench_many_scenes.py --counts 64 256
	$(BIN)/python benchmarks/bench_scene.py --turns 1 --only rate
	$(BIN)/python benchmarks/bench_training_overhead.py --steps 30 --repeats 1
	$(BIN)/python benchmarks/bench_refiner.py
	$(BIN)/python benchmarks/bench_vectors.py --turns 1

bench-all: $(STAMP)  ## run every benchmark as it is by default: hours
	for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

PEERS := benchmarks/peers/.venv

$(PEERS)/.installed: benchmarks/peers/requirements.txt pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(PEERS)/bin/python -m pip install --quiet --requirement benchmarks/peers/requirements.txt --editable .
	@touch $@

bench-peers: $(PEERS)/.installed  ## time crispmap beside plain torch, MONAI, TorchGeo and geoai (7 GB of libraries)
	$(PEERS)/bin/python benchmarks/beside_peers.py $(ARGS)

clean:  ## remove what the other targets made
	rm -rf $(VENV) $(PEERS) viewer/node_modules benchmarks/.work demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage dist

.PHONY: help demo test coverage browser qgis slow check format docs site viewer refiner wheel bench bench-all bench-peers clean
