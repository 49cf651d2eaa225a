# New users need two targets: `make demo` and `make test`. Each target installs what it needs in .venv and build/.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin
WORKERS ?= auto
ARGS ?=

# A package is installed only if its hash is in the constraints. --no-build: no package's build script runs.
UV := VIRTUAL_ENV=.venv UV_PYTHON_DOWNLOADS=never $(BIN)/uv
HASHED := --require-hashes --constraint .ci/constraints.txt --build-constraint .ci/constraints.txt

# The tests start hundreds of processes: without cached bytecode each compiles all modules again, 1.5 s of CPU time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup constraints demo test test-parts search conformance mutants faults check lint format bench quality image image-tools validate-gpu clean
.DEFAULT_GOAL := help

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 13

setup: .venv/ready ## install everything that the other targets need in .venv

.venv/ready: $(BIN)/uv pyproject.toml .ci/constraints.txt $(wildcard native/*.pyx)
	@command -v $${CC:-cc} >/dev/null || { echo "gpuwise builds a C extension, but there is no C compiler: install gcc (Debian: apt-get install build-essential)" >&2; exit 1; }
	$(UV) pip install --quiet $(HASHED) --no-build --requirement pyproject.toml --extra fleet --group dev
	$(UV) pip install --quiet --no-deps --build-constraint .ci/constraints.txt --editable .
	@touch $@

$(BIN)/uv: .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
	  { echo "gpuwise needs Python 3.11, 3.12 or 3.13, but $(PYTHON) is another version: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	sed -n '/^uv==/,/[^\\]$$/p' .ci/constraints.txt > .venv/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --requirement .venv/uv.txt
	@touch $@

constraints: $(BIN)/uv ## update .ci/constraints.txt from pyproject.toml (UPGRADE=1 uses the newest versions): docs/supply-chain.md
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' | \
	  $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	  --custom-compile-command "make constraints" $(if $(UPGRADE),--upgrade) --output-file .ci/constraints.txt \
	  pyproject.toml --all-extras --group dev --group bench - >/dev/null

demo: setup ## simulate a fleet, find unused GPUs, fix them on an emulated cluster, report the week (SERVE=1 keeps the page running)
	$(BIN)/gpuwise demo $(if $(SERVE),--serve) $(ARGS)

test: setup ## run the tests; as root on Debian it installs Prometheus, Alertmanager, Chromium and PostgreSQL first, elsewhere their tests are skipped
	.ci/system-packages prometheus prometheus-alertmanager chromium pg_lsclusters:postgresql
	-@.ci/system-packages victoria-metrics  # not in every distribution: its tests are then skipped
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadgroup $(ARGS)

conformance: setup ## run every test that uses Kubernetes on the cluster of GPUWISE_TEST_KUBECONFIG: docs/conformance.md
	$(BIN)/python -m pytest -p tests.conformance_record --numprocesses 0 $(ARGS)

test-parts: setup ## run the tests of the image and with Prometheus 3; as root on Debian it installs what they need
	.ci/system-packages prometheus prometheus-alertmanager chromium buildah mmdebstrap
	-@.ci/system-packages victoria-metrics  # as above
	$(BIN)/python -m pytest -m parts --numprocesses $(WORKERS) --dist loadgroup --durations 10 $(ARGS)
	.ci/later-prometheus $(CURDIR)/build/prometheus-3
	PATH="$(CURDIR)/build/prometheus-3/usr/bin:$$PATH" $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadgroup $(ON_PROMETHEUS)

# Tests with a real Prometheus: `make test` runs them with Debian 12's 2.42, `make test-parts` again with a 3.x.
ON_PROMETHEUS := $(wildcard tests/sources/prometheus/test_*.py) tests/service/test_metrics.py \
  tests/collect/test_queries.py tests/helm/test_monitoring.py tests/helm/test_dashboards.py tests/e2e/test_alertmanager.py \
  tests/e2e/test_exporter_to_scan.py tests/e2e/test_readme.py tests/e2e/test_serve.py

SEEDS ?= 5
FROM ?= $(shell date +%s)

search: setup ## draw new examples for the laws (SEEDS=5 runs, the first with seed FROM); stops at the first counterexample
	@for seed in $$(seq $(FROM) $$(($(FROM) + $(SEEDS) - 1))); do echo "seed $$seed"; \
	  GPUWISE_TEST_SEED=$$seed $(BIN)/python -m pytest -q -m 'hypothesis and not parts' --numprocesses $(WORKERS) --dist loadgroup $(ARGS) || exit 1; done

mutants: setup ## plant one safety bug at a time in a copy of the tree, and run the tests that must fail (ARGS=NAME plants one)
	$(BIN)/python -m tests.mutants.run $(ARGS)

SCHEDULES ?= 2000
FAILOVERS ?= 50

faults: setup ## run seeded schedules of crashes, errors and takeovers (SCHEDULES=100000), FIRST=50000 from that seed on; then 500 simulated and FAILOVERS=50 real failovers; SEED=7 runs one schedule and shows its trace
	$(BIN)/python -m tests.faults.run --schedules $(SCHEDULES) $(if $(FIRST),--first $(FIRST)) $(if $(SEED),--seed $(SEED)) $(ARGS)
	$(if $(SEED),,$(BIN)/python -m tests.failovers --simulated 500 --real $(FAILOVERS))

lint: setup ## check format, ruff, strict typing and import contracts; changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test test-parts ## run all that CI runs

format: setup ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## measure times as ratios to peers in the same run (ONLY=sketch runs one, RESULTS=1 writes benchmarks/RESULTS.md)
	$(UV) pip install --quiet $(HASHED) --group bench
	$(BIN)/python -m benchmarks.run $(addprefix --only ,$(ONLY)) $(if $(SCALE),--scale $(SCALE)) $(if $(RESULTS),--results)

TRACES ?= ../shared/data

quality: setup ## replay each policy and its baselines on the public traces in TRACES and the demo's fleet: benchmarks/QUALITY.md
	mkdir -p build
	$(BIN)/gpuwise backtest all --data $(TRACES) --executor ray --save build/quality.json -o table
	$(BIN)/python -m benchmarks.careful build/careful.json
	$(BIN)/python -m benchmarks.quality build/quality.json build/careful.json

validate-gpu: setup ## compare the exporter with nvidia-smi and loads of known occupancy: docs/validation.md; without a GPU, with the fake NVML
	$(BIN)/python -m benchmarks.validate_gpu

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMAGE ?= localhost/gpuwise:$(VERSION)
# The exporter's image has the same registry and tag: registry.example.com/gpuwise-exporter:0.1.0
EXPORTER_IMAGE ?= $(shell echo '$(IMAGE)' | sed -E 's/(:[^:/]*)?$$/-exporter\1/')
IMAGE_ARCHIVE := build/gpuwise-image.tar
EXPORTER_ARCHIVE := build/gpuwise-exporter-image.tar
# Separate storage, so that the machine's images are not changed; vfs and chroot also work inside a container.
BUILDAH := buildah --root $(CURDIR)/build/image/storage --runroot $(CURDIR)/build/image/run --storage-driver vfs
CERTIFICATES := $(wildcard /etc/ssl/certs/ca-certificates.crt)

BUILD_IMAGE = $(BUILDAH) build --layers --isolation chroot --build-arg VERSION=$(VERSION) \
  $(foreach name,PIP_INDEX_URL PIP_EXTRA_INDEX_URL,$(if $($(name)),--build-arg $(name))) \
  $(if $(CERTIFICATES),--volume $(CERTIFICATES):$(CERTIFICATES):ro)

image: image-tools build/image/debian.tar ## build the OCI images as build/gpuwise-*image.tar (IMAGE=registry.example.com/gpuwise:0.1.0 sets the name)
	$(BUILD_IMAGE) --target exporter --tag $(EXPORTER_IMAGE) .
	$(BUILD_IMAGE) --tag $(IMAGE) .
	rm -f $(IMAGE_ARCHIVE) $(EXPORTER_ARCHIVE)
	$(BUILDAH) push --quiet $(EXPORTER_IMAGE) oci-archive:$(EXPORTER_ARCHIVE):$(EXPORTER_IMAGE)
	$(BUILDAH) push --quiet $(IMAGE) oci-archive:$(IMAGE_ARCHIVE):$(IMAGE)
	$(BUILDAH) rmi --all --force >/dev/null
	@echo "$(IMAGE) is in $(IMAGE_ARCHIVE), $(EXPORTER_IMAGE) in $(EXPORTER_ARCHIVE); push both:"
	@echo "  skopeo copy oci-archive:$(IMAGE_ARCHIVE) docker://REGISTRY/gpuwise:$(VERSION)"
	@echo "  skopeo copy oci-archive:$(EXPORTER_ARCHIVE) docker://REGISTRY/gpuwise-exporter:$(VERSION)"

image-tools:
	@command -v buildah >/dev/null && command -v mmdebstrap >/dev/null || \
	  { echo "make image needs buildah and mmdebstrap: apt-get install buildah mmdebstrap debian-archive-keyring" >&2; exit 1; }

# Remove this file to get the newest Debian packages.
build/image/debian.tar: | image-tools
	mkdir -p $(@D)
	mmdebstrap --quiet --format=tar --variant=minbase --include=python3,ca-certificates \
	  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
	  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
	  --customize-hook='rm -f "$$1/etc/resolv.conf" "$$1/etc/hostname"' bookworm $@.new
	mv $@.new $@

clean: ## remove .venv and everything built
	rm -rf .venv build dist src/*.egg-info native/*.c .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src -name '*.so' -delete
