# Everything a developer, a newcomer or CI runs. `make help` lists it.
.DELETE_ON_ERROR:
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
SOURCES := Cargo.toml Cargo.lock pyproject.toml $(shell find src -name '*.rs')
# Crates that link the extension's own test binaries need the interpreter's library at run time.
PYTHON_LIBRARIES = $(shell $(PY) -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR"))')

export PYO3_PYTHON := $(abspath $(PY))

.PHONY: help
help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: demo
demo: $(VENV)/demo ## Build, install into .venv, measure real programs and show the result (about 4 minutes the first time)
	$(VENV)/bin/tirastore demo --dir demo

.PHONY: test
test: lint test-rust test-python ## Lints and all tests: cargo with and without Python, pytest, doctests

.PHONY: test-rust
test-rust: $(VENV)/test
	cargo test --quiet --no-default-features --features mutations
	LD_LIBRARY_PATH="$(PYTHON_LIBRARIES)" cargo test --quiet

.PHONY: test-python
test-python: $(VENV)/test
	$(PY) -m pytest -q

.PHONY: lint
lint: $(VENV)/test ## rustfmt, clippy, ruff, mypy, stubtest, shellcheck: warnings are errors
	cargo fmt --check
	cargo clippy --quiet --all-targets --no-default-features --features mutations -- -D warnings
	cargo clippy --quiet --all-targets -- -D warnings
	$(VENV)/bin/ruff check --quiet .
	$(VENV)/bin/ruff format --quiet --check .
	$(VENV)/bin/mypy
	$(PY) -m mypy.stubtest tirastore._core
	git ls-files -z '*.sh' '*.sbatch' '.ci/*' | xargs -0 $(VENV)/bin/shellcheck

.PHONY: fmt
fmt: $(VENV)/test ## Format Rust and Python
	cargo fmt
	$(VENV)/bin/ruff check --quiet --fix .
	$(VENV)/bin/ruff format --quiet .

# Each prints lines that begin with "reliability:"; together they are docs/reliability-figures.txt. The longest first:
# two run at a time, as most of them wait most of the time.
RELIABILITY := without_locks lost_replies stopped_writer refused_anywhere killed_anywhere soak torn_reads clocks \
    lock_model power_cuts stale_caches mixed_fleet fuzz
FIGURES := docs/reliability-figures.txt
LOGS := target/reliability

.PHONY: reliability
reliability: $(VENV)/test ## The long versions of the tests for crashes, stops, clocks, caches and power cuts (20 minutes at most)
	cargo test --release --no-run --quiet --no-default-features --features mutations
	rm -rf $(LOGS) && mkdir -p $(LOGS)
	began=$$SECONDS; \
	timeout 1200 $(MAKE) --no-print-directory --jobs 2 $(RELIABILITY:%=$(LOGS)/%.log); \
	grep -oh 'reliability: .*' $(RELIABILITY:%=$(LOGS)/%.log) | cut -d' ' -f2- > $(FIGURES); \
	echo "all of it: $$((SECONDS - began)) s on $$(nproc) cores" >> $(FIGURES)
	cat $(FIGURES)

$(LOGS)/without_locks.log:
	RELIABILITY=ENOSYS $(PY) -m pytest -q -s tests/test_without_locks.py > $@ || { cat $@; exit 1; }

$(LOGS)/fuzz.log:
	TIRASTORE_FUZZ_SECONDS=20 cargo test --release --quiet --no-default-features --features mutations --test fuzz -- \
	    --nocapture > $@ 2>&1 || { cat $@; exit 1; }

$(LOGS)/%.log:
	cargo test --release --quiet --no-default-features --features mutations --test $* -- --ignored --nocapture > $@ 2>&1 \
	    || { cat $@; exit 1; }

# As root the packages are installed that are missing; what cannot be had is skipped, with the reason.
CLUSTER := short
CLUSTER_PACKAGES := slurm-wlm munge moosefs-master moosefs-chunkserver moosefs-client moosefs-cli iproute2 xfsprogs \
    $(if $(filter long,$(CLUSTER)),glusterfs-server glusterfs-client)

.PHONY: cluster-test
cluster-test: $(VENV)/test ## Fleets on hosts made of namespaces, with Slurm and file systems (CLUSTER=long: all of it)
	if [[ $$(id -u) = 0 ]] && command -v apt-get >/dev/null && ! dpkg --status $(CLUSTER_PACKAGES) >/dev/null 2>&1; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends \
	        $(CLUSTER_PACKAGES) >/dev/null \
	        || echo "not all packages could be installed"; fi
	CLUSTER=$(CLUSTER) $(PY) -m pytest -q tests/cluster

.PHONY: notebooks
notebooks: $(VENV)/notebook ## Open the notebooks in JupyterLab, on the demo's store
	test -e demo/demo.db || $(VENV)/bin/tirastore demo --dir demo
	$(VENV)/bin/jupyter lab notebooks

.PHONY: rerun-notebooks
rerun-notebooks: $(VENV)/notebook ## Run them again on the demo's store, and keep their outputs
	test -e demo/demo.db || $(VENV)/bin/tirastore demo --dir demo
	$(VENV)/bin/jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False notebooks/*.ipynb

.PHONY: bench
bench: $(VENV)/bench ## Normal forms beside plain SHA-256; whole processes and large searches beside the peers, into docs/performance.md
	cargo bench --quiet --no-default-features --bench identity
	$(PY) -m benches.peers --write docs/performance.md
	$(PY) -m benches.columns --write docs/performance.md
	if command -v strace >/dev/null; then $(PY) -m benches.peers --delay 2 --repeat 1 --workloads mixed \
	    --peers Ours --peers Original --peers Lmdb --write docs/performance.md; fi

.PHONY: coverage
coverage: $(VENV)/test .tools/bin/cargo-tarpaulin ## Report the coverage of Rust and Python
	.tools/bin/cargo-tarpaulin --engine ptrace --no-default-features --features mutations \
	    --exclude-files 'fuzz/*' 'benches/*' 'tests/*' 'src/python/*' --out Stdout --skip-clean --target-dir target/tarpaulin
	$(PY) -m pytest -q --cov=tirastore --cov-report=term-missing:skip-covered

.tools/bin/cargo-tarpaulin:
	cargo install --quiet --locked --root .tools --version 0.37.5 cargo-tarpaulin

.PHONY: clean
clean: ## Remove what the commands above made, the demo's store included
	rm -rf target $(VENV) .tools demo build tirastore/_core*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis

# A missing prerequisite is one line.
.PHONY: prerequisites
prerequisites:
	@command -v cargo >/dev/null || { echo "missing: a Rust toolchain (cargo, rustc >= 1.89), see https://rustup.rs"; exit 1; }
	@command -v cc >/dev/null || { echo "missing: a C compiler (cc)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	    || { echo "missing: Python >= 3.11; name one with: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	    || { echo "missing: Python's venv module (Debian: apt-get install python3-venv)"; exit 1; }

$(VENV)/bin/maturin: | prerequisites
	@echo "Installing into $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check 'maturin>=1.9,<2.0'

# One stamp for each set of extras that is installed, newer than everything the extension is built from.
$(VENV)/demo: $(SOURCES) $(VENV)/bin/maturin
	@echo "Compiling the Rust core: 1 to 3 minutes the first time"
	@PIP_QUIET=1 $(VENV)/bin/maturin develop --quiet --release --extras demo
	@touch $@

$(VENV)/notebook: $(SOURCES) $(VENV)/bin/maturin
	@echo "Compiling the Rust core: 1 to 3 minutes the first time"
	@PIP_QUIET=1 $(VENV)/bin/maturin develop --quiet --release --extras demo,analysis,notebook
	@touch $@

$(VENV)/bench: $(SOURCES) $(VENV)/bin/maturin
	@echo "Compiling the Rust core: 1 to 3 minutes the first time"
	@PIP_QUIET=1 $(VENV)/bin/maturin develop --quiet --release --extras bench
	@touch $@

$(VENV)/test: $(SOURCES) $(VENV)/bin/maturin
	@echo "Compiling the Rust core: 1 to 3 minutes the first time"
	@PIP_QUIET=1 $(VENV)/bin/maturin develop --quiet --release --extras demo,analysis,notebook,test
	@touch $@
