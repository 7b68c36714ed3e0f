# make check   set everything up, check this machine, explain a bundled failing log
# make test    set everything up, run the tests
# make lint types build test-all lab bench docs
PYTHON ?= python3
VENV ?= .venv
ARCH ?= arm64
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)

.PHONY: check test test-all lab lint types build bench docs clean

check: $(VENV)/.ready
	@echo '$$ sparkdoctor check'
	@$(BIN)/sparkdoctor check; code=$$?; echo "[exit $$code]"; test $$code -ne 2
	@echo; echo '$$ sparkdoctor explain examples/logs/memlock.log'
	@$(BIN)/sparkdoctor explain examples/logs/memlock.log

test: $(VENV)/.dev
	$(BIN)/python -m pytest

test-all: $(VENV)/.dev
	$(BIN)/python tests/every_python.py

lab: $(VENV)/.dev
	SPARKDOCTOR_LAB_ARCH=$(ARCH) $(BIN)/python -m pytest tests/lab

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

build: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/cost.py
	$(BIN)/python benchmarks/log_engine.py

docs: $(VENV)/.dev
	mkdir -p docs
	$(BIN)/python -m sparkdoctor.catalogue docs/knowledge.md

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
ifneq ($(UV),)
	$(UV) venv --quiet --allow-existing --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV)
	$(UV) pip install --quiet --python $(BIN)/python --editable .
else
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "this Python has no venv module: sudo apt install $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')  (or install uv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable .
endif
	@touch $@

$(VENV)/.dev: $(VENV)/.ready
ifneq ($(UV),)
	$(UV) pip install --quiet --python $(BIN)/python --group dev
else
	$(BIN)/python -m pip install --quiet --group dev
endif
	@touch $@
