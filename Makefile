# Everything sets itself up: a machine with Python 3.11, make and git is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# what was compiled is kept: the tests start the program some hundred times, and it starts three times as fast
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check format docs bench-install clean

demo: $(READY)
	@$(BIN)/tagalong demo

# in a clean checkout one process compiles the tests, and the four find them compiled
test: $(READY)
	@test -d tests/__pycache__ || $(BIN)/pytest --collect-only -qq >/dev/null 2>&1 || true
	@$(BIN)/pytest -n 4 --dist worksteal

check: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python tools/generate_docs.py --check

format: $(READY)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(READY)
	@$(BIN)/python tools/generate_docs.py

bench-install: $(READY)
	@$(BIN)/pip install --quiet --editable '.[bench]'

$(READY): pyproject.toml
	@echo "Setting up $(VENV) (once, about half a minute) ..."
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Tagalong needs Python 3.11 or newer: make PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(READY)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis
