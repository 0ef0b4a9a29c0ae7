# `make` or `make help` lists the targets. Everything happens in .venv; nothing is installed outside of it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODEL := models/SmolLM2-135M-Instruct.Q4_1.gguf
GEMMA := models/gemma-3-270m-q4_k_m.gguf
BASE_STAMP := $(VENV)/.installed-base
DEV_STAMP := $(VENV)/.installed-dev
BENCH_STAMP := $(VENV)/.installed-bench

# Every test and benchmark starts many processes; without bytecode each of them compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run install model models test test-fast test-model test-kills lint format types wheel-check docs bench bench-short bench-swap bench-swap-short bench-memory bench-memory-short soak clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

run: $(BASE_STAMP) $(MODEL) ## install, bring a small model, serve, ask one question (ONCE=1: then stop)
	@$(BIN)/python scripts/quickstart.py $(MODEL) $(if $(ONCE),--once)

install: $(BASE_STAMP) ## install the server into .venv

model: $(MODEL) ## bring the small model, its SHA-256 checked

models: $(MODEL) $(GEMMA) ## bring both models that the tests use

test: test-fast test-model ## run all tests

test-model: $(DEV_STAMP) $(MODEL) $(GEMMA) ## run the tests that need the model, two files at a time: each has one core
	@$(BIN)/python -m pytest -m model -n 2 --dist loadfile

test-kills: $(DEV_STAMP) $(MODEL) ## run the tests that kill writers at random, as often as is promised
	@HOSHIKAGE_TEST_EVERY_KILL=1 $(BIN)/python -m pytest -k "kill and random or killed_writers" \
	  tests/clients/test_kill_9.py tests/core/test_registry_changes.py tests/plugins/ramdisk/test_processes.py

test-fast: $(DEV_STAMP) ## run the tests that need no model
	@$(BIN)/python -m pytest -m "not model" -n 2

lint: $(DEV_STAMP) ## check style
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/hadolint Dockerfile

format: $(DEV_STAMP) ## put the code in form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(BENCH_STAMP) ## check types
	@$(BIN)/mypy
	@$(BIN)/mypy --strict -p benchmarks

wheel-check: $(DEV_STAMP) ## build the wheel and check what is in it
	@$(BIN)/python scripts/check_wheel.py

docs: $(DEV_STAMP) ## write the generated pages anew
	@HOSHIKAGE_PROJECT_DIR=$(or $(TMPDIR),/tmp) $(BIN)/hoshikage config --markdown > docs/settings.md

bench: $(BENCH_STAMP) $(MODEL) ## measure beside llama.cpp and its peers, into docs/benchmarks (ARGS=--rows …)
	@$(BIN)/python -m benchmarks --model $(MODEL) $(ARGS)

bench-short: $(BENCH_STAMP) $(MODEL) ## only see that the benchmark works
	@$(BIN)/python -m benchmarks --model $(MODEL) --short

bench-swap: $(BENCH_STAMP) $(MODEL) $(GEMMA) ## measure swap, return and load of models, into docs/benchmarks (ARGS=--rows …)
	@$(BIN)/python -m benchmarks swap --model $(MODEL) --gemma $(GEMMA) $(ARGS)

bench-swap-short: $(BENCH_STAMP) $(MODEL) $(GEMMA) ## only see that this benchmark works
	@$(BIN)/python -m benchmarks swap --model $(MODEL) --gemma $(GEMMA) --short

bench-memory: $(BENCH_STAMP) $(MODEL) ## measure long-term memory, into docs/benchmarks (ARGS=--data FOLDER …)
	@$(BIN)/python -m benchmarks memory --model $(MODEL) $(ARGS)

bench-memory-short: $(BENCH_STAMP) $(MODEL) ## only see that this benchmark works
	@$(BIN)/python -m benchmarks memory --model $(MODEL) --short

soak: $(BENCH_STAMP) $(MODEL) ## ten minutes of random load, then a look for leaks
	@$(BIN)/python -m benchmarks soak --model $(MODEL)

clean: ## remove what these targets made, but no models and no data
	rm -rf $(VENV) .hatch dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BASE_STAMP): pyproject.toml hatch_build.py scripts/install.py
	@$(PYTHON) scripts/install.py $(VENV) .
	@touch $@

$(DEV_STAMP): pyproject.toml hatch_build.py scripts/install.py
	@$(PYTHON) scripts/install.py $(VENV) ".[dev]"
	@touch $@ $(BASE_STAMP)

$(BENCH_STAMP): pyproject.toml hatch_build.py scripts/install.py
	@$(PYTHON) scripts/install.py $(VENV) ".[dev,bench]"
	@touch $@ $(DEV_STAMP) $(BASE_STAMP)

$(MODEL) $(GEMMA): | $(BASE_STAMP)
	@$(BIN)/python scripts/get_model.py $@
