# Every target sets up .venv first, once: python3 (3.11 or newer) and make are all it takes.
PYTHON ?= python3
JOBS ?= 2

BIN := .venv/bin
STAMP := .venv/.installed
EVERYTHING := .[all,dev,docs]

# One file per worker at a time, so that each kernel is compiled by one of them.
PYTEST := $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile

# The longest tests take half a minute. One that waits for ever fails with its stacks; if it does not come back to Python
# for that, its worker ends, and after a second one so do the tests.
ENDING := --timeout 600 -o faulthandler_timeout=900 -o faulthandler_exit_on_timeout=true --max-worker-restart 1

.PHONY: demo test test-exhaustive test-nojit lint docs bench lock clean

demo: $(STAMP)
	@$(BIN)/radioopt demo

test: $(STAMP)
	@$(PYTEST) $(ENDING)

# Hundreds of instances against every generic solver, a million certified.
test-exhaustive: $(STAMP)
	@$(PYTEST) -m exhaustive

# The kernels as plain Python: the same answers, no compiler. What only takes long or checks other solvers is left out.
test-nojit: $(STAMP)
	@NUMBA_DISABLE_JIT=1 $(PYTEST) $(ENDING) -m "not slow and not reference and not exhaustive"

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/codespell

# The site, to be read from build/site without a network. A warning is an error.
docs: $(STAMP)
	@$(BIN)/python -m sphinx -q -W --keep-going -E -j $(JOBS) docs build/site
	@echo "The site is build/site/index.html."

# A quarter of an hour on a machine that does nothing else; times measured beside other work are worth little.
bench: $(STAMP)
	@mkdir -p runs/images
	@$(BIN)/radioopt bench --save runs/benchmark.json
	@cd runs && ../$(BIN)/radioopt bench --report benchmark.json --pictures images > benchmark.md
	@mv runs/images/bench_*.png docs/images/
	@mv runs/benchmark.md docs/benchmarks.md && mv runs/benchmark.json docs/benchmarks.json
	@echo "docs/benchmarks.md is up to date; docs/benchmarks.json is for radioopt bench --compare."

# The stamp comes last, so an interrupted installation leaves none, and without one the environment is made anew.
# The constraints also hold in the isolated environment that builds the package (newer pips read the second name).
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "radioopt needs Python 3.11 or newer; try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Setting up .venv: about 130 packages in the versions of constraints.txt, 2.7 GB installed."
	@echo "This takes about a minute, once (details: .venv/install.log)."
	@test -e $@ && rm $@ || $(PYTHON) -m venv --clear .venv
	@PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 \
	  $(BIN)/python -m pip install --quiet --quiet --no-input --progress-bar off --log .venv/install.log --editable '$(EVERYTHING)' || \
	  { echo "The installation failed; its log is .venv/install.log" >&2; exit 1; }
	@touch $@
	@echo "Done."

# The newest versions that fit together, tried out in an environment of their own. Torch keeps its pin, because a
# newer one may come as several gigabytes of GPU libraries: to move it, edit its line in constraints.txt first.
LOCK := build/lock
lock:
	@echo "Resolving all dependencies anew in $(LOCK); this takes a few minutes."
	@rm -rf $(LOCK) && $(PYTHON) -m venv $(LOCK)
	@$(LOCK)/bin/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)" hatchling editables '$(EVERYTHING)'
	@{ sed '/^[^#]/,$$d' constraints.txt; \
	   $(LOCK)/bin/python -m pip freeze --all --exclude pip --exclude radioopt | sed 's/+.*//'; } > $(LOCK)/constraints.txt
	@mv $(LOCK)/constraints.txt constraints.txt && rm -rf $(LOCK)
	@echo "constraints.txt is up to date; make test installs and checks it."

# Caches and build products; .venv and the results in runs/ stay.
clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find radioopt learning validation tests examples -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
