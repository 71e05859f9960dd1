# Everything from a fresh clone: `make demo`, `make test`. Needs Python 3.11 or later; nothing else.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DELETE_ON_ERROR:
.PHONY: help install demo test test-realdata test-integration lint docs validate benchmark clean

help:
	@echo "make demo              analyse the article's case in sample_data/ and say where the report is"
	@echo "make test              run the tests"
	@echo "make test-realdata     run the tests on real CT series (PARASPINAL_DATA)"
	@echo "make test-integration  run the tests that need a fresh environment"
	@echo "make lint              ruff, ruff format, mypy"
	@echo "make docs              write the reference pages anew"
	@echo "make validate          long validation suites (hours); hybrids need PARASPINAL_DATA"
	@echo "make benchmark         time the stages on a 512x512x600 phantom"

$(INSTALLED): pyproject.toml
	@test -n "$(PYTHON)" || { echo "paraspinal needs Python 3.11 or later; set PYTHON=/path/to/python3" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[dev]'
	@touch $@

install: $(INSTALLED)

demo: $(INSTALLED)
	$(BIN)/paraspinal analyze sample_data/emh -o demo-out --force

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not realdata and not integration"

test-realdata: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "realdata and not integration"

test-integration: $(INSTALLED)
	$(BIN)/python -m pytest -m integration

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(INSTALLED)
	$(BIN)/paraspinal schema --markdown > docs/results.md
	$(BIN)/paraspinal schema config --markdown > docs/configuration.md

validate: $(INSTALLED)
	$(BIN)/paraspinal validate phantom --jobs 2 --write docs/validation.md
	$(BIN)/paraspinal validate trabeculae --seed 1 -n 192 --jobs 2 --write docs/validation.md
	$(BIN)/paraspinal validate patient --jobs 2 --write docs/validation.md
	$(BIN)/paraspinal validate differential --jobs 2 --write docs/validation.md
	@if [ -n "$$PARASPINAL_DATA" ]; then \
		$(BIN)/paraspinal validate hybrid --jobs 2 --write docs/validation.md; \
		$(BIN)/paraspinal validate bone --jobs 2 --write docs/validation.md; \
		$(BIN)/paraspinal validate bilateral --jobs 2 --write docs/validation.md; \
		$(BIN)/paraspinal validate untouched --write docs/validation.md; \
	else echo "PARASPINAL_DATA is not set: no real series, no hybrid suite." >&2; fi

benchmark: $(INSTALLED)
	$(BIN)/python benchmarks/stages.py

clean:
	rm -rf demo-out dist build .pytest_cache .mypy_cache .ruff_cache
