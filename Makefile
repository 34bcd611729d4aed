# Every target but help and clean first makes .venv, and does nothing for it when it is up to date.
# A second tier of names (test-unit, ...) runs a part of `make test`. PYTEST_ARGS="-k name" narrows any of them.
PYTHON ?= python3
PYTEST_ARGS ?=
VENV := .venv/bin
# A run with many failures has one cause: ten are enough to see it.
PYTEST := $(VENV)/python -m pytest --maxfail=10 $(PYTEST_ARGS)

.DEFAULT_GOAL := help
.PHONY: help install browser demo serve test test-unit test-integration test-acceptance test-api test-cuts test-damage test-versions test-large test-crashes test-outcome chaos simulate simulate-mutants check format bench bench-memory bench-answers bench-journals bench-recording bench-waiting bench-overload compat differential differential-scheduler ci lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## Make .venv from the lock files, with .venv/bin/dagcall in it
	@$(PYTHON) scripts/bootstrap.py

demo: install ## Start a server on the examples, ask one a question, show the answer and its time
	@$(VENV)/python scripts/demo.py

serve: install ## Serve examples/dags on 127.0.0.1:8274
	@$(VENV)/dagcall serve examples/dags

browser: # What the tests in a browser need; `make test` says so when it cannot be had
	@$(PYTHON) scripts/browser.py

test: install browser ## Run all tests, the quick ones first, in two processes
	@$(PYTEST) -n 2 --no-loadscope-reorder tests

test-unit: install ## Run the tests that need no process and no socket
	@$(PYTEST) tests/unit tests/architecture

test-integration: install ## Run the tests of one real part each
	@$(PYTEST) tests/integration

test-acceptance: install browser ## Run the tests of the whole: real DAG files, server and command line
	@$(PYTEST) tests/acceptance

test-api: install ## Ask a server what its OpenAPI documents allow and what they do not, N (default 200) times an operation, 20 min
	@DAGCALL_API_EXAMPLES=$(or $(N),200) $(PYTEST) tests/acceptance/api/test_documents.py

test-cuts: install ## Cut clients' connections 1,000 times: every event once, one run each, 2 min
	@DAGCALL_CUTS=1000 $(PYTEST) tests/acceptance/test_cuts.py

test-versions: install ## The tests that touch Airflow, on the oldest and the newest supported release of it, 10 min; VERSIONS="3.3.4"
	@$(VENV)/python scripts/versions.py $(VERSIONS)

test-large: install ## A file of 2 GB as a result: the server's memory, downloads whole and by parts, 1 min
	@DAGCALL_LARGE=2147483648 $(PYTEST) tests/acceptance/test_large_results.py -s

test-crashes: install ## Kill the server at every named point of its code, on SQLite and PostgreSQL, 20 min
	@CRASHES=1 $(PYTEST) tests/acceptance/crashes -s

test-damage: install ## Change the files of a killed server's journal 3,000 times: never silently wrong, 1 min
	@DAGCALL_DAMAGES=3000 $(PYTEST) --timeout=900 tests/integration/journal/test_damage.py

test-outcome: install ## Compare the outcomes of N (default 10000) random DAGs with all that can happen to them, 20 min
	@$(VENV)/python tests/integration/certainty/run.py $(or $(N),10000)

chaos: install ## Kill a server, all its processes and its database at random under N (default 10000) calls, 5 min; JOURNAL=sqlite SEED=2 SERVERS=3
	@$(VENV)/python -m tests.acceptance.chaos $(or $(N),10000) --journal $(or $(JOURNAL),postgresql) --seed $(or $(SEED),1) --servers $(or $(SERVERS),1)

simulate: install ## Play N (default 10000) seeds of the coordinator in which everything goes wrong, 6 min; SEED=123: that one
	@PYTHONHASHSEED=0 $(VENV)/python -m tests.unit.simulation $(or $(N),10000)

simulate-mutants: install ## Break the product in eleven ways and see that the simulation finds each, 3 min
	@PYTHONHASHSEED=0 $(VENV)/python -m tests.unit.simulation.mutants

check: install ## Lint, formatting, strict types, import contracts
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .
	@$(VENV)/mypy
	@$(VENV)/lint-imports

format: install ## Write what `make check` asks of formatting and import order
	@$(VENV)/ruff check --fix-only --quiet .
	@$(VENV)/ruff format .

bench: install ## Measure dagcall, stock Airflow and the bare task runner side by side, 12 min; QUICK=1: no stock, 1 min
	@QUICK="$(QUICK)" $(VENV)/python bench/run.py

bench-memory: install ## See whether memory stays flat over 20,000 calls, 2 min
	@$(VENV)/python bench/memory.py

bench-overload: install ## Offer ten times the calls that a server can answer, for a minute
	@$(VENV)/python bench/overload.py

bench-answers: install ## How soon an answer comes, also with 1,000 readers of the run's events, 4 min
	@$(VENV)/python bench/answers.py

bench-journals: install ## What a call costs with its journal in SQLite, and in PostgreSQL with and without flushes, 2 min
	@$(VENV)/python bench/journals.py

bench-recording: install ## What it costs to have runs recorded in Airflow, and whether 200 a second can be, 2 min
	@$(VENV)/python bench/recording.py

bench-waiting: install ## What 10,000 callers that wait cost: memory of each, CPU while nothing happens, 8 min
	@$(VENV)/python bench/waiting.py

compat: install ## Run Airflow's own example DAGs here and under stock Airflow, compare, write the table, 10 min
	@$(VENV)/python compat/run.py $(COMPAT_ARGS)

differential: install ## Compare N (default 2000) generated DAGs under stock Airflow and here, 10 min; N=100:200 is seeds
	@$(VENV)/python tests/integration/differential/run.py $(or $(N),2000)

differential-scheduler: install ## The same for N (default 50) DAGs under stock Airflow's scheduler on PostgreSQL, 5 min
	@$(VENV)/python tests/integration/differential/scheduler.py $(or $(N),50)

ci: check test ## What CI runs

lock: ## Write requirements/*.txt again; UPGRADE=1 takes newer versions
	@$(PYTHON) scripts/bootstrap.py lock $(if $(UPGRADE),--upgrade)
	@$(PYTHON) scripts/bootstrap.py

clean: ## Remove the environment and every cache in the checkout
	rm -rf tests/acceptance/browser/node_modules
	rm -rf .venv .bootstrap .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
