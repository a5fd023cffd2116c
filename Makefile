# Everything from nothing: `make demo` and `make test` need Python 3.11 or later, and nothing else prepared.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Modules are compiled when they are first imported; most of torch, transformers and SciPy never are.
INSTALL := $(PIP) install --no-compile
export PYTHONDONTWRITEBYTECODE =
WHEELS := --only-binary :all: --constraint constraints.txt
SOURCES := $(shell find wave_search -type f ! -name '*.py[co]')

.DELETE_ON_ERROR:
.PHONY: install demo test test-oldest torture mutants lint format docs clean

# The package is installed as the wheel that users get, not as a link to the sources: packaging faults show.
install: .venv/.installed

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo 'error: $(PYTHON) is older than 3.11. Give another: make PYTHON=python3.11' >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; $(PYTHON) -m virtualenv .venv; } \
	    || { echo 'error: $(PYTHON) has neither venv nor virtualenv. On Debian: apt-get install python3-venv' >&2; exit 1; }

# torch comes first and alone: it is the largest, and which build is had (CPU, CUDA) is up to the index in use.
.venv/.dependencies: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) --only-binary :all: torch==2.13.0
	$(INSTALL) $(WHEELS) pip hatchling
	$(INSTALL) $(WHEELS) --group dev
	touch $@

.venv/.installed: .venv/.dependencies README.md LICENSE $(SOURCES)
	rm -rf build/wheel
	$(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir build/wheel .
	$(INSTALL) --quiet --no-deps --force-reinstall build/wheel/wave_search-*.whl
	$(INSTALL) --quiet $(WHEELS) "$$(echo build/wheel/wave_search-*.whl)[cpu,scene,quantized,models,otio,photos,serve,thumbnails]"
	touch $@

demo: install
	demo/run.sh

# Two workers; a file of tests stays with one of them, so that its fixtures are made once.
test: install
	$(BIN)/pytest --installed --numprocesses 2 --dist loadfile $(PYTEST_ARGS)

# Hours: kills at each step of the commits of a plan, ten thousand hostile inputs, and a thousand kills at random.
torture: install
	$(BIN)/python -m tests.crash --rounds 0 --steps -1
	$(BIN)/python -m tests.hostile --seed $(or $(SEED),1) --inputs 10000 --kills 1000 --publish benchmarks/RESULTS.md

# What is composed of parts of transformers and FAISS is tested at the other end of the supported ranges as well.
# Without dependencies: those that the installed versions do not need are listed, the others are in .venv.
test-oldest: install
	$(INSTALL) --quiet --only-binary :all: --no-deps --upgrade --target build/oldest \
	    transformers==5.17.0 'huggingface_hub<2' httpx httpcore certifi faiss-cpu==1.14.2
	PYTHONPATH=build/oldest $(BIN)/pytest --installed -k 'not in_memory and not torch_first' \
	    $(addprefix tests/unit/test_,$(addsuffix .py,model_golden model_wave checkpoint_loading checkpoint_saving nano \
	    ann_exact ann_inverted_lists ann_shard ann_shards))

# Changes lines of the store, the shards and the search, and lists the changes that no test notices.
mutants: install
	$(INSTALL) --quiet --constraint constraints.txt --group mutants  # yattag has no wheel
	$(BIN)/python -m tests.mutation --sample $(or $(SAMPLE),40) --seed $(or $(SEED),0)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if git grep -nE '^(<{7}|>{7}) '; then echo 'error: a merge was left unfinished there' >&2; exit 1; fi

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Strictly: a broken link or anchor fails.
docs: install .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo 'build/site/index.html'

.venv/.docs: .venv/.dependencies
	$(INSTALL) --quiet $(WHEELS) --group docs
	touch $@

clean:
	rm -rf .venv build dist demo/index demo/contact-sheet.webp .mypy_cache .ruff_cache .pytest_cache .hypothesis
