# Every target does its own set-up: a virtual environment in .venv, made once.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: fuzz demo test test-devices test-all lint fix docs bench clean

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[demo,dev]"
	touch $(READY)

demo: $(READY)  ## train, prune, quantize, convert, run, measure and explain, on real data, offline
	mkdir -p demo-out
	@echo "training a small network on scikit-learn's digits"
	@$(BIN)/python examples/demo/train.py demo-out 2> demo-out/train.log || (cat demo-out/train.log; false)
	$(BIN)/edgeshrink compress demo-out/digits.keras --prune 0.8 --int8 --data demo-out/digits.npz \
	    --preprocess scale=1/16 -o demo-out/digits.tflite --force
	$(BIN)/edgeshrink compress demo-out/digits.keras --data demo-out/digits.npz \
	    --preprocess scale=1/16 -o demo-out/digits-float.tflite --force --json > demo-out/float.json
	$(BIN)/edgeshrink bench demo-out/digits-float.tflite demo-out/digits.tflite \
	    --data demo-out/digits.npz --preprocess scale=1/16 --rules demo

test: $(READY)  ## the tests, without the slow ones; then those that take seconds each
	$(BIN)/python -m pytest
	$(BIN)/python -m pytest -m "heavy and not slow"

test-devices: $(READY)  ## sshd, adb, an ARM64 machine, a software GPU: what is missing is skipped
	$(BIN)/python -m pytest -m "device and not slow" -n 3 --no-loadscope-reorder --durations=12 -rs

FUZZ_SECONDS ?= 1200
FUZZ_SEED ?= $(shell date +%s)

fuzz: $(READY)  ## damaged and hostile inputs for all that is read, for FUZZ_SECONDS from FUZZ_SEED
	cd tests && ../$(BIN)/python -m fuzz --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED)

test-all: $(READY)  ## the slow ones too
	$(BIN)/python -m pytest -m "slow or not slow"

lint: $(READY)  ## style, types, who imports whom, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

fix: $(READY)  ## what can be mended by a machine
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)  ## the pages that are made from the code
	$(BIN)/python docs/generate.py

bench: $(READY)  ## the measured results in benchmarks/results
	$(BIN)/python benchmarks/goals.py

clean:
	rm -rf $(VENV) demo-out .mypy_cache .pytest_cache .ruff_cache .hypothesis
