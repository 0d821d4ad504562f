# Everything a newcomer types; `make help` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test tests check test-slow coverage clean-coverage release trials bench docs site bless lock \
  clean browser

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest
TESTERS ?= 2
COVERED := $(CURDIR)/.cache/coverage

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## open the page in a browser with a segmented sample
	$(BIN)/brainmets serve --demo

test: check tests ## install everything, check everything, run every test but the slow ones

tests: $(VENV)/.dev browser # `coverage` runs the same under another PYTEST
	$(PYTEST) -m "not slow and not e2e" --numprocesses $(TESTERS) --dist loadfile
	$(PYTEST) -m "e2e and not slow"

check: $(VENV)/.dev ## formatting, lint, types, layers
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/pyright --pythonpath $(BIN)/python --level error
	$(BIN)/lint-imports --no-cache

test-slow: $(VENV)/.dev browser ## the tests that take minutes
	$(PYTEST) -m slow

coverage: PYTEST = COVERAGE_FILE=$(COVERED) $(BIN)/python -m coverage run -m pytest
coverage: clean-coverage tests ## run the same tests, print the branch coverage of src; below 90 % is an error
	COVERAGE_FILE=$(COVERED) $(BIN)/python -m coverage combine --quiet
	COVERAGE_FILE=$(COVERED) $(BIN)/python -m coverage html --quiet --fail-under=0 --directory .cache/coverage-html
	COVERAGE_FILE=$(COVERED) $(BIN)/python -m coverage report --fail-under=0 --format=total --precision=1 \
	  > docs/results/coverage.txt
	COVERAGE_FILE=$(COVERED) $(BIN)/python -m coverage report --skip-covered --sort=cover

clean-coverage:
	mkdir -p .cache && rm -f .cache/coverage .cache/coverage.*

release: $(VENV)/.dev ## build sdist, wheel, bill of materials and checksums into dist/; PYTHONS= to try more
	$(BIN)/python release/build.py $(addprefix --python ,$(PYTHONS))

trials: $(VENV)/.dev browser ## flood, kill and attack the service, and print what became of it (20 minutes)
	$(PYTEST) tests/trials -s

bench: $(VENV)/.dev ## how fast it is here, as tables (more, each with its --help, in benchmarks/)
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/network_vs_ceiling.py
	$(BIN)/python benchmarks/pipeline.py

docs: $(VENV)/.dev ## write the generated reference pages, then run every block in the docs
	$(BIN)/python -m tests.docs.reference_pages
	$(BIN)/python -m tests.unit.io_reference
	$(PYTEST) tests/docs

site: $(VENV)/.dev ## build the documentation site into site/ (a broken link is an error)
	$(BIN)/python docs/build_site.py --out site/$(VERSION)

bless: $(VENV)/.dev ## accept the present output as golden
	$(PYTEST) tests/golden --bless

clean: ## remove what make has made
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache .hypothesis build dist site

# ---- how the above get what they need -------------------------------------------------------

PROJECT := pyproject.toml constraints.txt locks/demo.txt locks/dev.txt

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "brainmets needs Python 3.11 or newer: make PYTHON=python3.12 …"; exit 2; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "This Python cannot make environments (Debian: apt install python3-venv)"; exit 2; }

$(VENV)/.demo: requirements.txt $(PROJECT) | $(BIN)/python
	@echo "Installing brainmets into $(VENV) (once, 1-2 minutes) …"
	@$(PIP) --no-deps --require-hashes --requirement locks/demo.txt
	@$(PIP) --requirement requirements.txt
	@touch $@

$(VENV)/.dev: requirements.txt requirements-train.txt requirements-dev.txt $(PROJECT) | $(BIN)/python
	@echo "Installing brainmets and its tools into $(VENV) (once, 2-3 minutes) …"
	@$(PIP) --no-deps --require-hashes --requirement locks/dev.txt
	@$(PIP) --requirement requirements-dev.txt
	@touch $@ $(VENV)/.demo

browser: # end-to-end tests drive Chromium, the service's PostgreSQL, other DICOM readers, a PACS, strace
	@command -v chromium dciodvfy plastimatch strace dsrdump Orthanc | wc -l | grep -q 6 \
	  && compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && exit 0; \
	if [[ $$(id -u) == 0 ]] && command -v apt-get >/dev/null; then \
	  echo "Installing Chromium, PostgreSQL and DICOM readers for the tests (once) …"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
	    --no-install-recommends chromium fonts-dejavu-core postgresql \
	    dicom3tools plastimatch strace dcmtk orthanc orthanc-dicomweb >/dev/null; \
	else echo "Chromium, PostgreSQL, a DICOM reader, Orthanc or strace is missing: some tests are left out" \
	  "(Debian: apt install chromium postgresql dicom3tools plastimatch strace dcmtk orthanc" \
	  "orthanc-dicomweb)"; fi

# torch is not in the locks: its CPU build, which CI has on its disk, is another file than PyPI's.
TORCH := torch==2.13.0
UNLOCKED := brainmets torch triton setuptools $(addprefix cuda-,bindings pathfinder toolkit) \
  $(addprefix nvidia-,cublas cuda-cupti cuda-nvrtc cuda-runtime cudnn-cu13 cufft cufile curand \
  cusolver cusparse cusparselt-cu13 nccl-cu13 nvjitlink nvshmem-cu13 nvtx)
RESOLVE := .cache/lock/bin/uv pip compile --quiet --universal --no-annotate --no-header \
  --generate-hashes $(addprefix --no-emit-package ,$(UNLOCKED))

lock: ## write constraints.txt and locks/ anew: newest versions, every platform, with hashes
	rm -rf .cache/lock && $(PYTHON) -m venv .cache/lock && .cache/lock/bin/pip install --quiet uv
	sed -n '/^#/p' constraints.txt > .cache/constraints.notes
	echo '$(TORCH)' > constraints.txt
	$(RESOLVE) --python-version 3.11.5 requirements-dev.txt --output-file locks/dev.txt
	{ cat .cache/constraints.notes; \
	  { sed -nE 's/^([a-z0-9][^ ]*==[^ ]+( ; .*[^ \\])?)( \\)?$$/\1/p' locks/dev.txt; echo '$(TORCH)'; } \
	  | LC_ALL=C sort; } > constraints.txt
	$(RESOLVE) --python-version 3.11 requirements.txt --output-file locks/demo.txt
