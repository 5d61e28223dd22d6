# Everything that is needed daily. `make help` lists the targets.
#   PYTHON=/path/to/python3.12   the interpreter for .venv (default: the first of 3.11, 3.12, 3.13 found)
#   CONFIG=ood                   of `make run`: params/ood.yaml on top of params.yaml
#   CORES=4                      jobs at a time (default: the profile's)
#   SYSTEM=palm                  of the tests, what belongs to one published system
#   ARGS="..."                   passed on to Snakemake or pytest

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup clusters shell validators site run smoke systems verify publish record pull quick test test-snakemake test-all fuzz test-cpus test-clusters golden check types lint lock clean

BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
SNAKEMAKE := snakemake $(if $(CORES),--cores $(CORES))

# The environment is current when its stamp names this checkout, this lock and these dependencies.
STAMP := $(BIN)/../shiftbench.stamp
WANTED = $$(cat requirements.lock requirements.hashes requirements.older-cpu.hashes pyproject.toml | sha256sum | cut -c1-64) $(CURDIR)
PYTHONS := $(PYTHON) python3.11 python3.12 python3.13 python3
# Of the lock, uv installs what pip would, bytes checked by pip's hashes, in a tenth of the time; torch's builds are pip's to find.
PIP := python -m pip install --quiet --disable-pip-version-check
HASHED := --no-deps --require-hashes
# Snakemake imports every executor that is installed, at each start: those of clusters take 0.7 s.
CLUSTERS := ^\(kubernetes\|snakemake-executor-plugin-[a-z-]*\)==
ENTRY_END := [^\\]$$
INDEX := $(if $(PIP_INDEX_URL),--default-index $(PIP_INDEX_URL))
USABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))

# Of requirements.hashes all but the executors of clusters (d), or these alone (!d); into .venv, or the environment $(2).
define install
{ uv pip install --quiet --python $(or $(2),.venv)/bin/python --native-tls --link-mode copy $(INDEX) $(HASHED) --requirement <(sed '/$(CLUSTERS)/,/$(ENTRY_END)/$(1)' requirements.hashes) || \
    { echo "uv could not: pip goes on, and takes minutes"; $(or $(2),.venv)/bin/$(PIP) $(HASHED) --requirement <(sed '/$(CLUSTERS)/,/$(ENTRY_END)/$(1)' requirements.hashes); }; }
endef

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | expand -t 12

setup: ## the environment .venv, from requirements.lock, checked by sha256
	@[ "$$(cat $(STAMP) 2>/dev/null)" = "$(WANTED)" ] || $(MAKE) --no-print-directory .venv

.PHONY: .venv
.venv:
	@if [ ! -x $(BIN)/python ]; then \
	    for python in $(PYTHONS); do \
	        if "$$python" -c '$(USABLE)' 2>/dev/null; then echo "creating .venv with $$($$python --version)"; exec "$$python" -m venv .venv; fi; \
	    done; \
	    echo "shiftbench needs Python 3.11, 3.12 or 3.13 with its venv module; found: $$(python3 --version 2>&1 || true)."; \
	    echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv), or name it: make setup PYTHON=/path/to/python3.12"; \
	    exit 1; \
	fi >&2
	@echo "installing requirements.lock, torch and torchvision into .venv (about a minute, once)"
	@$(PIP) $(HASHED) --requirement <(sed '/^uv==/,/$(ENTRY_END)/!d' requirements.hashes)
	@$(call install,d)
	@sh -c 'python -c "import polars" || exit 1' 2>/dev/null || { echo "this processor lacks AVX2: installing Polars' build for older ones"; \
	    $(PIP) $(HASHED) --requirement requirements.older-cpu.hashes; }
	@$(PIP) --no-compile --constraint requirements.lock --no-build-isolation --editable .
	@echo "$(WANTED)" > $(STAMP)

clusters: setup ## executors for SLURM, Kubernetes and others, into .venv
	@$(call install,!d)

shell: setup ## a shell that has the commands (or: source .venv/bin/activate)
	@exec bash --rcfile <(cat ~/.bashrc 2>/dev/null; echo 'source "$(CURDIR)/$(BIN)/activate"')

# An environment of its own, in the folder $(1), with what the lock $(2) pins.
define environment
@cmp -s $(2) $(1)/lock || { \
    python -m venv --clear --without-pip $(1); \
    uv pip install --quiet --python $(1)/bin/python --native-tls --link-mode copy $(INDEX) --requirement $(2) || \
        { python -m venv --clear $(1); $(1)/bin/pip install --quiet --requirement $(2); }; \
    cp $(2) $(1)/lock; }
endef

# validators: Croissant's, RO-Crate's and CycloneDX's; roc-validator wants an older rich than ours.
validators: setup ## an environment that tests validate a release with
	$(call environment,.venv-validators,tests/release/validators.lock)

# Pages of what only the code knows are written first. A broken link, a missing anchor or a page in no menu ends the build.
site: setup ## the documentation, into build/site (ARGS=serve: on localhost:8000)
	$(call environment,.venv-docs,docs/site/requirements.lock)
	@rm -rf build/pages && shiftbench docs --site build/pages
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs $(or $(ARGS),build)

run: setup ## the default benchmark (params.yaml), and the page that reports it
	@$(SNAKEMAKE) $(if $(CONFIG),--config params=$(CONFIG)) $(ARGS)

smoke: setup ## a tiny benchmark through every rule, into build/smoke: a minute
	@$(SNAKEMAKE) --config params=smoke $(ARGS)

systems: setup ## every published system, with a page each (ARGS=palm for one)
	@shiftbench systems --cores $(or $(CORES),$(shell nproc)) $(ARGS)

verify: setup ## how a run here stands to what is published (ARGS=systems/palm)
	@shiftbench verify $(ARGS)

publish: setup ## write published/ from what was made here, for maintainers
	@shiftbench publish $(ARGS)

record: setup ## run, record what was made, systems too, push it to the remote
	@dvc repro
	@shiftbench record
	@dvc push

# A system's own tests, and of each family's contract what its card names.
ONE_SYSTEM := $(if $(SYSTEM),--system $(SYSTEM) tests/systems/$(subst -,_,$(SYSTEM)) tests/contracts)
# One worker more than there are cores: tests wait for servers, signals and clusters a fifth of their time.
PYTEST := PYTHONDONTWRITEBYTECODE= pytest -n $(shell expr $$(nproc) + 1) --dist worksteal $(ONE_SYSTEM)

pull: setup ## all that dvc.lock records, checked (ARGS="records tables": a part)
	@shiftbench pull $(ARGS)

quick: setup ## lint and the fast tests: before each commit
	@ruff format --check --quiet
	@ruff check --quiet
	@$(PYTEST) -n auto --quick --quiet $(ARGS)

test: setup ## the tests without slow ones (SYSTEM=palm: one system's)
	@$(PYTEST) -m "not slow and not gpu and not cluster" $(ARGS)

# A copy of .venv in the folder $(1), with what $(2) installs there.
define copied
@cmp -s $(STAMP) $(1)/shiftbench.stamp || { \
    rm -rf $(1); cp --archive --link .venv $(1); rm $(1)/shiftbench.stamp; \
    sed -i '1s|/\.venv/bin/|/$(1)/bin/|' $$(grep -lI '^#!' $(1)/bin/*); \
    $(2); cp $(STAMP) $(1); }
endef
WITHIN = PATH="$(CURDIR)/$(1)/bin:$$PATH" $(PYTEST)

# The lowest Snakemake that pyproject.toml allows.
SNAKEMAKE_VERSION := 9.18.1
OTHER = .venv-snakemake-$(SNAKEMAKE_VERSION)
WORKFLOW_TESTS := tests/workflow/test_snakemake_options.py tests/workflow/test_what_runs.py tests/workflow/test_warm.py tests/engine/test_terminal.py

test-snakemake: setup ## the workflow's tests with SNAKEMAKE_VERSION=9.18.1
	$(call copied,$(OTHER),uv pip install --quiet --python $(OTHER)/bin/python --native-tls --link-mode copy $(INDEX) snakemake==$(SNAKEMAKE_VERSION))
	@$(call WITHIN,$(OTHER)) -m "not slow" $(WORKFLOW_TESTS) $(ARGS)

test-all: clusters ## the tests, slow ones too, and a minute of fuzzing
	@$(PYTEST) -m "not gpu" --rehearse $(ARGS)
	@$(MAKE) --no-print-directory fuzz

fuzz: setup ## drawn files of strangers, for FUZZ_SECONDS=60
	@FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60) pytest tests/fuzz --quiet -rP -o timeout=0

test-cpus: setup ## every shift under emulated CPUs, the same bytes (10 minutes)
	@pytest -m slow tests/contracts/test_every_shift.py $(ARGS)

test-clusters: setup ## benchmarks through a SLURM, and pods (10 minutes)
	$(call copied,.venv-clusters,$(call install,!d,.venv-clusters))
	@$(call WITHIN,.venv-clusters) -m cluster tests/clusters $(ARGS)

golden: setup ## write tests/golden again (look at the diff before you commit)
	@pytest --quiet --update-golden tests $(ARGS)

check: lint types ## format, lint and types, with the locked tools

types: setup ## types alone
	@mypy

lint: setup ## format and lint alone
	@ruff format --check
	@ruff check
	@snakefmt --check --compact-diff Snakefile workflow
	@! snakemake --lint 2>&1 | grep '^    \* ' | grep -v 'conda environment or container' # it is the lock, for all rules

# From Python 3.11; then test on 3.12 and 3.13 too.
lock: ## write requirements.lock and both .hashes with the newest releases
	@scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	python -m venv "$$scratch"; \
	"$$scratch/bin/pip" install --quiet --disable-pip-version-check --upgrade pip setuptools; \
	"$$scratch/bin/pip" install --quiet --disable-pip-version-check '.[workflow,remotes,slurm,kubernetes,cluster,timm,onnx,ranking,search,generation,llm,dev]'; \
	{ sed '/^[^#]/,$$d' requirements.lock; "$$scratch/bin/pip" freeze --all | grep -viE '^(pip|torch|torchvision|triton|nvidia-[a-z0-9-]*|cuda-[a-z0-9-]*|shiftbench)\b'; } > "$$scratch/lock"; \
	mv "$$scratch/lock" requirements.lock; \
	sed -n 's/^polars==/polars-runtime-compat==/p' requirements.lock > "$$scratch/older-cpu"; \
	for file in requirements.hashes requirements.older-cpu.hashes; do \
	    if [ $$file = requirements.hashes ]; then pinned=requirements.lock; else pinned="$$scratch/older-cpu"; fi; \
	    "$$scratch/bin/uv" pip compile --quiet --no-deps --generate-hashes --no-header --no-annotate --python-version 3.11 \
	        --python-platform x86_64-unknown-linux-gnu "$$pinned" --output-file "$$scratch/hashes"; \
	    { sed '/^[^#]/,$$d' $$file; cat "$$scratch/hashes"; } > "$$scratch/new"; \
	    mv "$$scratch/new" $$file; \
	done

clean: ## remove caches and builds; data and results stay
	@rm -rf build dist src/*.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@find src tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
