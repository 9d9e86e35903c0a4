# What can be done with this checkout; `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# As many side by side as cores and memory allow.
SCENARIOS := $(PYTEST) tests/molecule --numprocesses auto --dist worksteal --verbose

.PHONY: help
help: ## List the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

.PHONY: venv
venv: ## Make .venv: this checkout with the locked packages
	@tools/venv

.PHONY: cluster
cluster: venv ## Bring up lab hosts, a cluster on them, and the two example services
	$(BIN)/kubeinstall lab up
	$(BIN)/kubeinstall apply -i inventory/lab
	$(BIN)/python examples/two-services/deploy -i inventory/lab
	@printf '%s\n' '' 'The cluster is yours:' \
	  '  $(BIN)/kubeinstall kubectl get nodes,pods --all-namespaces -o wide' \
	  '  $(BIN)/kubeinstall status' \
	  '  $(BIN)/kubeinstall verify' \
	  'To try next:' \
	  '  $(BIN)/kubeinstall lab ssh lab-node1          # a shell on a host; reboot it with: lab reboot lab-node1' \
	  '  $(BIN)/kubeinstall kubeconfig --out ./kubeconfig' \
	  '  $(BIN)/kubeinstall apply --check --diff       # after a change in inventory/lab' \
	  '  make clean-lab                           # all of it gone'

.PHONY: lint
lint: venv ## Check the style of Python, Ansible, YAML and shell
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/ansible-lint -q
	@if command -v shellcheck >/dev/null; then tools/shell-files | xargs shellcheck; \
	else echo "shellcheck is not installed: the shell scripts were not checked" >&2; fi

.PHONY: types
types: venv ## Check the types of the Python code
	$(BIN)/mypy

.PHONY: schemas
schemas: ## Write the settings and feature gates of each Kubernetes version, from its Go types
	@for module in components/kubernetes-*; do \
	  (cd $$module && go run ../../tools/kubernetes-schema/main.go) \
	    >kubeinstall/cluster/schemas/$${module##*-}.json; \
	done

.PHONY: unit
unit: venv ## Run the unit and contract tests, which need no hosts
	$(PYTEST) tests/unit tests/contract --numprocesses auto

.PHONY: check
check: venv ## Run all that needs no hosts
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=line lint types unit

.PHONY: cluster-tests
cluster-tests: venv ## Run the tests on a lab of their own, which is removed afterwards
	$(PYTEST) tests/cluster

.PHONY: test-ha
test-ha: venv ## Change, kill and restore clusters of many control planes, on labs of their own
	$(PYTEST) tests/ha

.PHONY: test-engines
test-engines: venv ## Run Docker Engine beside containerd, and change nodes from one to the other, on a lab of its own
	$(PYTEST) tests/engines

.PHONY: test-registries
test-registries: venv ## Pull from registries with credentials, mirrors and a proxy, on a lab of their own
	$(PYTEST) tests/registries

.PHONY: test-classic
test-classic: venv ## Prove flannel on etcd, its backends and etcd's users, on a lab of their own
	$(PYTEST) tests/classic

.PHONY: molecule
molecule: venv ## Prove the roles by their molecule scenarios; one role's with ROLE=etcd
	$(SCENARIOS) -k "$(ROLE)"

.PHONY: vagrant
vagrant: venv components ## Prove it on virtual machines of its own, made by Vagrant; slow where they are emulated
	$(PYTEST) tests/vagrant --capture=no

.PHONY: box
box: venv ## Make a Debian box for Vagrant, where no box catalogue can be reached
	$(BIN)/python -m tools.vagrant.box

.PHONY: docs
docs: venv ## Write the documents that are made of the tree
	$(BIN)/python -m tools.documents

.PHONY: components
components: venv ## Fetch or build all components of a cluster into the cache
	$(BIN)/kubeinstall components fetch

.PHONY: test
test: components check cluster-tests ## Run what every change is held to
	$(SCENARIOS) -k default

.PHONY: bench
bench: venv ## Measure an install, a second run, and what they cost at least
	$(BIN)/python benchmarks/bench.py

.PHONY: test-all
test-all: components check cluster-tests test-ha test-engines test-registries test-classic molecule vagrant bench ## Run all tests and the benchmarks

.PHONY: wheel
wheel: venv ## Build the wheel into dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

.PHONY: lock
lock: venv ## Write requirements.lock anew from pyproject.toml
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras --group dev --generate-hashes \
	  --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

.PHONY: clean-lab
clean-lab: venv ## Remove the lab of `make cluster` with all its data
	$(BIN)/kubeinstall lab down
