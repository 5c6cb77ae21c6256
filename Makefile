# Two commands on a fresh machine: `make demo` and `make test`. Both keep an up-to-date .venv and rebuild a stale one.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
HOME_NOW := https://example.org/isoloss
HOME_FILES := pyproject.toml README.md CITATION.cff .github Makefile
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
INSTALL := $(PIP) install --no-build-isolation

.PHONY: demo test whole check machines pythons fuzz browser docs lock build home clean

demo: $(VENV)/.demo
	$(BIN)/isoloss demo

# One worker a core, each given whole files, so that what a file prepares is prepared once.
WORKERS := --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
test: $(VENV)/.test browser
	$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest $(WORKERS) --durations 30

# The long tests with all their simulations, kills and starts: `make test` takes a part of each.
whole: $(VENV)/.test
	ISOLOSS_TESTS=whole $(BIN)/python -m pytest $(WORKERS) --durations 30 $$(grep -rl '^from sampling import' tests)

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The numeric tests as other processors compute them: kernels compiled for any x86-64 and for AVX2 alone, and OpenBLAS's
# kernels for others. Every setting has a cache of kernels of its own; all are tried, whatever fails.
NUMERIC := $(wildcard $(addprefix tests/,laws fitting diagnostics optima data_dependence tuning planning complexity grammar models golden truth \
	published))
MACHINES := NUMBA_CPU_NAME=generic NUMBA_CPU_NAME=x86-64-v3,NUMBA_CPU_FEATURES= OPENBLAS_CORETYPE=Haswell OPENBLAS_CORETYPE=Zen
MACHINES += $(shell grep -qw avx512f /proc/cpuinfo 2>/dev/null && echo OPENBLAS_CORETYPE=SkylakeX)
machines: $(VENV)/.test
	@failed=; for machine in $(MACHINES); do \
		echo "== $$machine"; cache=$$(mktemp -d); \
		env $$(echo $$machine | tr , ' ') NUMBA_CACHE_DIR=$$cache $(BIN)/python -m pytest -q -p no:cacheprovider \
			-m "not slow and not browser" $(NUMERIC) || failed="$$failed $$machine"; \
		rm -rf "$$cache"; \
	done; [ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

# The tests of analysis under other Pythons, without torch and Ray: `make pythons PYTHONS=python3.13` for one.
PYTHONS ?= python3.12 python3.13
ANALYSIS := $(addprefix tests/,core laws fitting cli/test_cli_habits.py cli/test_cli_schemas.py cli/test_cli_errors.py cli/test_cli_fit.py)
pythons:
	@for python in $(PYTHONS); do \
		venv=build/$$(basename $$python); echo "== $$python"; \
		$$python -m venv $$venv && grep -vE '^(torch|ray)==' locks/test.txt > $$venv/lock.txt && \
		$$venv/bin/python -m pip install --quiet --no-deps -r $$venv/lock.txt && \
		$$venv/bin/python -m pip install --quiet --no-deps --no-build-isolation -e . && \
		$$venv/bin/python -m pytest -q -m "not slow and not browser" $(ANALYSIS) || exit 1; \
	done

# Hostile studies, tables, grammars, laws, archives and texts for five minutes; `make fuzz SEED=7 SECONDS=60` for others.
SEED ?= 0
SECONDS ?= 300
fuzz: $(VENV)/.test
	$(BIN)/python tests/fuzz/fuzz_main.py --seed $(SEED) --seconds $(SECONDS)

# The site, in build/docs; a warning is an error. The tests build it, too.
docs: $(VENV)/.test
	$(BIN)/python -m sphinx -b html -W --keep-going -q docs build/docs
	@echo "open build/docs/index.html"

build: $(VENV)/.test
	$(BIN)/python -m build --no-isolation

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml locks/demo.txt locks/texts.txt | $(BIN)/python
	$(call install,locks/demo.txt)
	touch $@

$(VENV)/.test: pyproject.toml locks/test.txt locks/texts.txt | $(BIN)/python
	$(call install,locks/test.txt)
	touch $(VENV)/.demo $@

define install
	@echo "installing $(1) into $(VENV) (a few minutes the first time)"
	$(PIP) install $$(grep -E '^(setuptools|wheel|hatchling|editables)==' $(1) | cut -d' ' -f1)
	$(INSTALL) -r $(1)
	$(INSTALL) --no-deps -r locks/texts.txt
	$(INSTALL) --no-deps -e .
endef

# The browser tests need Chromium. Where CI runs as root on Debian it is installed here; elsewhere those tests say why they skip.
browser:
	@if [ "$$CI" = "true" ] && [ "$$(id -u)" = "0" ] && ! command -v chromium >/dev/null; then \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; fi

# Resolve the ranges of pyproject.toml anew. Local version labels are dropped, so that any CPU build of the same release fits.
COMPILE := $(BIN)/pip-compile --quiet --upgrade --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	--no-emit-options --no-header --annotation-style=line --allow-unsafe --strip-extras --extra train
lock: $(VENV)/.test
	$(COMPILE) pyproject.toml locks/demo.in -o locks/demo.txt
	$(COMPILE) --extra docs pyproject.toml locks/demo.in locks/test.in -o locks/test.txt
	sed -i 's/+cpu  /      /' locks/demo.txt locks/test.txt

# The project's address, in every file that names it: make home URL=https://…
home:
	grep -rlF '$(HOME_NOW)' $(HOME_FILES) | xargs sed -i 's|$(HOME_NOW)|$(URL)|g'

clean:
	rm -rf $(VENV) build dist results .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
