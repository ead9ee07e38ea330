# Everything sets itself up: a machine needs Python 3.11 or newer and make.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
UV := $(BIN)/python -m uv
COMPILE := $(UV) pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header
OUT ?= build/demo
# Where it is set, every process of every test would compile all it imports once more.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo demo-large test test-flows test-long test-browser test-contract test-large pictures spark test-glue test-313 check wheel bench lock clean

demo: .venv/ready dist/ready
	$(BIN)/pipeline demo --out $(OUT) $(DEMO)

# A file of 5 million rows through the whole pipeline, its rows validated by Spark; a Java 17 must be on the PATH.
demo-large: spark dist/ready dist/ready-3.13
	$(BIN)/pipeline demo --large --rows 5000000 --days 1 --out $(OUT)-large $(DEMO)

# A module stays with one worker, and modules come in their order, for those of a package share its servers.
# Each worker reads all tests first, so three are faster than five on two processors, unless tests mostly wait.
PYTEST = $(BIN)/python -m pytest -q --dist loadscope --no-loadscope-reorder

test: .venv/ready dist/ready
	$(PYTEST) -n 3 $(if $(TEST),-m "not slow" $(TEST),-m "not slow and not flow")

# What people type and read, what roles may do, and what befalls processes: whole days on local clouds.
test-flows: .venv/ready dist/ready
	$(PYTEST) -n 5 -m "flow and not slow"

test-long: .venv/ready dist/ready
	HYPOTHESIS_PROFILE=thorough $(PYTEST) -n 5 $(TEST)

# The pages of reports in a headless Chromium; one must be on the machine.
test-browser: .venv/ready dist/ready
	$(UV) pip install --quiet --require-hashes -r requirements/browser.txt
	$(BIN)/python -m pytest -q tests/browser/pages.py

# The data contract, by the tool `datacontract` on the tables of a local warehouse. It has an environment of its own.
test-contract: .venv/ready dist/ready .venv-contract/ready
	$(BIN)/python -m pytest -q tests/other_tools/datacontract.py

spark: .venv/ready
	@java -version 2>/dev/null || { echo "Spark needs Java 17 or newer, and there is no java on the PATH; install one, then try again" >&2; exit 1; }
	$(UV) pip install --quiet --require-hashes -r requirements/spark.txt

# The large job on local Spark; a Java 17 must be on the PATH.
test-large: spark dist/ready dist/ready-3.13
	$(BIN)/python -m pytest -q -p no:warnings tests/large/on_spark.py tests/large/on_glue.py

pictures: .venv/ready dist/ready
	$(UV) pip install --quiet --require-hashes -r requirements/browser.txt
	$(BIN)/python -m tests.browser.pictures

# The job's own tests on Glue's Python, against the wheel that Glue installs.
test-glue: .venv-job-3.9/ready
	cd build/job-3.9 && ../../.venv-job-3.9/bin/python -m pytest -q -n 2 -c pytest.ini tests

# The same on the Python of a runner after Glue (docs/when-python-shell-ends.md), from the same sources and pins.
test-313: .venv-job-3.13/ready
	cd build/job-3.13 && ../../.venv-job-3.13/bin/python -m pytest -q -n 2 -c pytest.ini tests

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

wheel: .venv/ready
	$(BIN)/pipeline wheel

bench: .venv/ready dist/ready
	$(UV) pip install --quiet --require-hashes -r requirements/bench.txt
	$(BIN)/python -m benchmarks $(BENCH)

# Pins, with hashes and without the address of any index.
lock: .venv/ready
	$(COMPILE) --python-version 3.11 requirements/uv.in -o requirements/uv.txt
	$(COMPILE) --python-version 3.11 requirements/dev.in -o requirements/dev.txt
	$(COMPILE) --python-version 3.9 --python-platform x86_64-manylinux2014 requirements/job.in -o requirements/job.txt
	$(COMPILE) --python-version 3.9 requirements/glue_tests.in -o requirements/glue_tests.txt
	$(COMPILE) --python-version 3.11 requirements/browser.in -o requirements/browser.txt
	$(COMPILE) --python-version 3.11 requirements/contract.in -o requirements/contract.txt
	$(COMPILE) --python-version 3.11 requirements/bench.in -o requirements/bench.txt
	$(COMPILE) --python-version 3.11 requirements/spark.in -o requirements/spark.txt

clean:
	rm -rf build dist .venv .venv-*

.venv/ready: requirements/uv.txt requirements/dev.txt pyproject.toml
	$(if $(PYTHON),,$(error Python 3.11 or newer is needed and none is on the PATH; name one: make PYTHON=/path/to/python))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, but $(PYTHON) is " + sys.version.split()[0] + "; name another: make PYTHON=/path/to/python")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(UV) pip install --quiet --require-hashes -r requirements/dev.txt
	$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

IN_WHEEL := requirements/job.txt $(shell find jobs schemas -name "*.py") cli/program/wheel.py

dist/ready: .venv/ready $(IN_WHEEL)
	$(BIN)/pipeline wheel
	@touch $@

dist/ready-3.13: .venv/ready $(IN_WHEEL)
	$(BIN)/pipeline wheel --python 3.13
	@touch $@

.venv-contract/ready: .venv/ready requirements/contract.txt
	$(UV) venv --quiet --clear --python $(BIN)/python .venv-contract
	$(UV) pip install --quiet --python .venv-contract --require-hashes -r requirements/contract.txt
	@touch $@

# What the job's tests are, and what they need.
JOB_TESTS := tests/jobs tests/oracle tests/strategies

.venv-job-3.9/ready: dist/ready
.venv-job-3.13/ready: dist/ready-3.13
.venv-job-%/ready: .venv/ready requirements/glue_tests.txt tests/conftest.py $(shell find $(JOB_TESTS) -name "*.py")
	python=$$($(BIN)/python -m local.runtime.glue_python $*) && $(UV) venv --quiet --clear --python "$$python" .venv-job-$*
	$(UV) pip install --quiet --python .venv-job-$* --require-hashes -r requirements/glue_tests.txt
	$(UV) pip install --quiet --python .venv-job-$* --no-deps dist/*-cp$(subst .,,$*)-*.whl
	rm -rf build/job-$* && mkdir -p build/job-$*/tests
	cp tests/__init__.py tests/conftest.py build/job-$*/tests/
	cp -r $(JOB_TESTS) build/job-$*/tests/
	printf '[pytest]\nfilterwarnings =\n    error\nmarkers =\n    slow: long\n' > build/job-$*/pytest.ini
	@touch $@
