# Needs Python 3.11 (or newer) and make; every target sets up what it needs. `make help` lists them.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help demo test lint soak engines lock clean base dev

# The first Python that really runs and is new enough: a version manager's shim may exist and still refuse.
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python; do \
	$$p -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
BIN := .venv/bin
CODE := scheduler forecasting backends tests benchmarks configs requirements

help:  ## shows this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' Makefile | while IFS='|' read -r a b; do printf '%-14s %s\n' "$$a" "$$b"; done

demo: base  ## shows the main job on real processes, in under 3 minutes
	@$(BIN)/tidewatt demo

test: lint  ## checks the code and runs every test
	@$(BIN)/python -m pytest -n 3 --dist loadfile

lint: dev  ## ruff, mypy and the direction of dependencies
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

soak: dev  ## thousands of kills, faults, pauses and mutations with seeds; prints its counts; some hours
	@TIDEWATT_SOAK_FIRE_JOBS=1000 TIDEWATT_SOAK_FIRE_KILLS=500 $(BIN)/python -m pytest tests/acceptance/test_launch_fire.py -s --timeout=7200
	@TIDEWATT_SOAK_AMBIGUOUS=1000 $(BIN)/python -m pytest tests/integration/backends/test_slurm.py -s -k answers --timeout=7200
	@TIDEWATT_SOAK_SUBMITS=1000 TIDEWATT_SOAK_WALKS=200 $(BIN)/python -m pytest tests/property/scheduler/test_engines_model.py -s --timeout=7200
	@TIDEWATT_SOAK_SLURM=200 $(BIN)/python -m pytest tests/acceptance/test_slurm_site.py -s -k day --timeout=3600
	@TIDEWATT_SOAK_API_CASES=10000 $(BIN)/python -m pytest tests/acceptance/test_api_fuzz.py -s --timeout=3600
	@TIDEWATT_SOAK_PAGE=1 $(BIN)/python -m pytest tests/page/test_browser.py -s --timeout=3600
	@TIDEWATT_SOAK_TORN=1000 $(BIN)/python -m pytest tests/integration/scheduler/test_torn_writes.py -s --timeout=7200
	@TIDEWATT_SOAK_DISK=1 $(BIN)/python -m pytest tests/acceptance/test_disk_faults.py tests/acceptance/test_database_faults.py -s --timeout=7200
	@TIDEWATT_SOAK_KUBERNETES_SUBMITS=1000 $(BIN)/python -m pytest tests/integration/backends/test_kubernetes.py -s -k random --timeout=3600
	@TIDEWATT_SOAK_PAUSES_UNDER_FIRE=500 $(BIN)/python -m pytest tests/integration/backends/test_local_pauses_under_fire.py -s --timeout=3600
	@TIDEWATT_SOAK_STOPS=200 $(BIN)/python -m pytest tests/integration/backends/test_local_pausing.py -s -k again --timeout=3600
	@TIDEWATT_SOAK_PAUSES=20 $(BIN)/python -m pytest tests/acceptance/test_paused_training.py -s --timeout=3600
	@TIDEWATT_SOAK_KILLS=200 $(BIN)/python -m pytest tests/acceptance/test_crash_soak.py -s --timeout=3600
	@TIDEWATT_SOAK_MUTATIONS=1000 $(BIN)/python -m pytest tests/property/scheduler/test_bundle_mutations.py -s --timeout=3600
	@TIDEWATT_SOAK_ENERGY=2000 TIDEWATT_SOAK_FAULTS=5000 $(BIN)/python -m pytest tests/property/backends/meters -s --timeout=3600
	@TIDEWATT_SOAK_TRIALS=2000 $(BIN)/python -m pytest tests/unit/scheduler/test_holdout.py -s -k nine_times --timeout=3600

engines:  ## installs what some tests drive: a C compiler, Chromium (apt-get, as root or through sudo), clients of services and formats
	@./requirements/engines

lock: dev  ## pins the newest packages that fit pyproject.toml, with their hashes
	@$(BIN)/python requirements/lock.py --upgrade

clean:  ## removes what the other targets made
	@rm -rf .venv .engines tidewatt-demo.* build dist .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

base dev:
	@test -n "$(PYTHON)" || { echo "Tidewatt needs Python 3.11 or newer: none was found (PYTHON=/path/to/python3.11 names one)." >&2; exit 2; }
	@$(PYTHON) requirements/environment.py $@
