# `make demo` and `make test` need only Debian, Python >= 3.11, make and root; they install the rest.
.PHONY: demo test check lock bench torture scale setup-test setup-demo format docs
VENV := .venv/bin

demo: setup-demo
	$(VENV)/mtls-ambassador demo

test: setup-test
	scripts/check
	$(VENV)/python -m pytest -n auto --maxprocesses 4 --dist worksteal --cov --cov-report= tests
	$(VENV)/coverage report --fail-under=90

# The quick round: unit tests that start no server, database or program. `make test` has them all.
check: setup-test
	scripts/check
	$(VENV)/python -m pytest -q tests/unit --ignore tests/unit/flows --ignore tests/unit/store --ignore tests/unit/sandbox \
		--ignore tests/unit/cli --ignore tests/unit/mender --ignore tests/unit/web --ignore tests/unit/test_docs_commands.py

bench: setup-test
	$(VENV)/python benchmarks/bench.py

# Storms, ten thousand WebSockets for ten minutes, a rush, a day: about forty minutes.
scale: setup-test
	$(VENV)/python benchmarks/scale.py $(ONLY)

# Faults against a real gateway under traffic, in about eight minutes; `ONLY=--only NAME` for one of them.
torture: setup-test
	$(VENV)/python -m torture $(ONLY)

format: setup-test
	$(VENV)/ruff format .
	$(VENV)/ruff check --fix .

docs: setup-test
	$(VENV)/python scripts/generate_docs.py
	$(VENV)/python scripts/grafana_board.py

# Refreshes the lock files; uv is only needed here.
COMPILE := uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-header
lock:
	$(COMPILE) --all-extras pyproject.toml -o requirements.lock
	$(COMPILE) --group build -o requirements-build.lock
	$(COMPILE) --all-extras --group dev pyproject.toml -c requirements.lock -o requirements-dev.lock

setup-test:
	@scripts/setup test
setup-demo:
	@scripts/setup demo
