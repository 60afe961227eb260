# Set-up, demonstration, checks. `make help` lists the targets.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= jobs
PICTURE ?= examples/still_life.png
PIP    := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup weights demo test test-slow lint format bench completions docs clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

setup: $(VENV)/.installed ## make .venv, install airbrush and fetch the LPIPS backbones

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "airbrush needs Python 3.11 or newer; say which with make PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	@$(BIN)/python -m airbrush_cli.lpips_weights || \
	  echo "LPIPS will be reported as missing until 'make weights' succeeds." >&2
	@echo "Compiling the kernels, once ..."
	@folder=$$(mktemp -d) && $(BIN)/airbrush preprocess examples/dusk.png -q -o $$folder --set 'render_px={w: 227, h: 320}' | \
	  $(BIN)/airbrush paint -q --strokes 50 --effort draft --set work.draft=200 | $(BIN)/airbrush gcode dryrun -q >/dev/null; \
	  rm -rf $$folder
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP) -e '.[dev,train]'
	@touch $@

weights: $(VENV)/.installed ## fetch the LPIPS backbones, if they are not there yet
	@$(BIN)/python -m airbrush_cli.lpips_weights

demo: $(VENV)/.installed ## paint an example picture and say where everything lies
	@manifest=$$($(BIN)/airbrush preprocess $(PICTURE) --out $(OUT) | $(BIN)/airbrush paint) && \
	folder=$$(dirname "$$manifest") && job=$$(basename "$$folder") && \
	echo && printf '  %-9s %s\n' painting "$$folder/painting.png" strokes "$$folder/strokes.yaml" \
	  G-code "$$folder/$${job}_cmy.gcode" '' "$$folder/$${job}_pen.gcode" manifest "$$manifest"

test: $(VENV)/.dev ## run the tests
	$(BIN)/python -m pytest

test-slow: $(VENV)/.dev ## run the tests that take minutes
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.dev ## check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev ## format the tree
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## measure what the docs claim
	$(BIN)/python -m tests.bench

completions: $(VENV)/.installed ## write the shell completions anew
	$(BIN)/python -m airbrush_cli.completions completions

docs: $(VENV)/.installed ## write the command reference anew
	$(BIN)/python -m airbrush_cli.reference docs/cli.md

clean: ## remove what the targets made
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
