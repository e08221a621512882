# `make demo` and `make test` need Python >= 3.12, git and make, nothing else.
PYTHON ?= $(shell for p in python3 python3.12 python3.13 python3.14; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
FILES := src models guides inference training evaluation datasets experiments cli nn notebooks tests benchmarks

.PHONY: help demo test testall lint format bench faults attack notebooks clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

.venv/ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "consilience needs Python 3.12 or newer; none was found on the PATH (set PYTHON=/path/to/python3.12)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(sys.version_info < (3, 12) and f"consilience needs Python 3.12 or newer; {sys.executable} is {v}")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: .venv/ready  ## train on digits, print likelihoods, draw pictures into ./demo
	$(BIN)/consilience demo --overwrite

test: .venv/ready  ## run the tests, the slow ones too
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m "not long"

testall: .venv/ready  ## run every test, the longest trainings too
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

lint: .venv/ready  ## check style and format
	$(BIN)/ruff check $(FILES)
	$(BIN)/ruff format --check $(FILES)

format: .venv/ready  ## mend style and format
	$(BIN)/ruff check --fix $(FILES)
	$(BIN)/ruff format $(FILES)

bench: .venv/ready  ## one table of costs, ratios to hand-written JAX first, and bench/bench.json
	$(BIN)/python benchmarks/bench.py

faults: .venv/ready  ## kill, cut and corrupt trainings and files; what is resumed must be bit-equal
	$(BIN)/python benchmarks/faults.py

attack: .venv/ready  ## try hostile inputs, judged by hand-made truths, and 700 fits in one process
	PYTHONPATH=benchmarks $(BIN)/python -m attack --out attack
	$(BIN)/python benchmarks/many_fits.py --out attack

notebooks: .venv/ready  ## run the notebooks and store their outputs
	$(BIN)/python .ci/run_notebooks.py

clean:  ## remove the environment and everything that was made
	rm -rf .venv demo bench build dist src/*.egg-info
