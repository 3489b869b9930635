# make demo: the whole way on rendered words.  make test: the fast tests.  make check: lint, types, tables.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Pins every package, torch among them, for each pip below; a GPU user installs without it.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-slow check tables clean

$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -e '.[fast,ocr]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -e '.[dev]'
	touch $@ $(VENV)/.demo

DEMO := STRBENCH_HOME="$(CURDIR)/.demo" $(BIN)/strbench

demo: $(VENV)/.demo
	$(DEMO) data draw rendered_demo/train --replace
	$(DEMO) pretrain dig
	$(DEMO) finetune vit-ctc --from dig-micro.smoke
	$(DEMO) eval --suite rendered-demo --model vit-ctc-micro.smoke+dig --model rapidocr
	$(DEMO) report --markdown

test: $(VENV)/.dev
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -q -m slow

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

tables: $(VENV)/.dev
	$(BIN)/python -m strbench.report.committed benchmarks/tables

clean:
	rm -rf $(VENV) .demo build dist *.egg-info
