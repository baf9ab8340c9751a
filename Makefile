# `make demo`: a whole search on MovieLens-100K.  `make test`: all checks.  Everything runs in .venv, made on demand.

PYTHON ?= python3
VENV   ?= .venv
# Where only a CPU is, point pip at PyTorch's CPU wheels: the default Linux wheel brings gigabytes of CUDA libraries.
TORCH  ?= torch==2.13.0
PYTEST_ARGS ?=
# For example DEMO_ARGS="--data ml-100k/ --port 9000".
DEMO_ARGS ?=

BIN := $(VENV)/bin
# The stamp is younger than what it was made from: a second `make install` does nothing.
STAMP := $(VENV)/.installed

# More threads than cores make torch's threads wait for each other.
export OMP_NUM_THREADS ?= 2
export MKL_NUM_THREADS ?= $(OMP_NUM_THREADS)

.PHONY: install demo test lint format clean-demo

install: $(STAMP)

$(STAMP): pyproject.toml setup.py requirements.lock
	$(PYTHON) -c "import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 13) else 'Python %d.%d does not fit: set PYTHON to one of 3.11 or 3.12' % v)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH) -c requirements.lock
	$(BIN)/python -m pip install --quiet -e '.[dev,onnx]' -c requirements.lock
	touch $@

demo: install
	$(BIN)/easrec demo $(DEMO_ARGS)

# Networks of the tests are tiny: more threads only cost time.
test: export OMP_NUM_THREADS = 1
test: lint
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean-demo:
	rm -rf demo-results
