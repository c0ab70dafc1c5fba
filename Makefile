# memtap: every verb of the project. `make help` lists them.
BUILD ?= build
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
PREFIX ?= /usr/local
PYTHON ?= /usr/bin/python3
VENV := $(BUILD)/venv
CMAKE := cmake -G Ninja -S . -DCMAKE_INSTALL_PREFIX=$(PREFIX)
NINJA = ninja -j$(JOBS)
PYTEST = MEMTAP_BIN=$(abspath $(BUILD))/bin/memtap $(VENV)/bin/python -m pytest -q -n $(JOBS) --timeout=600

BUILD_PACKAGES := gcc make cmake ninja-build libelf-dev libdw-dev libzstd-dev libiberty-dev libsqlite3-dev libmicrohttpd-dev
TEST_PACKAGES := g++ libcmocka-dev libunwind-dev clang libclang-rt-14-dev valgrind python3-venv python3-dev python3-numpy \
    redis-server redis-tools sqlite3 tcl chromium fonts-dejavu-core libjemalloc-dev libgoogle-perftools-dev libmimalloc-dev binutils bzip2 golang-go \
    zsh fish groff-base libmicrohttpd12
SERVER_PACKAGES := nginx-light apache2-utils postgresql redis-server redis-tools nodejs openjdk-17-jdk-headless
WEB_PACKAGES := nodejs npm
BENCH_PACKAGES := heaptrack google-perftools libjemalloc2

.DEFAULT_GOAL := all
.PHONY: all help deps deps-test deps-bench demo test test-unit test-behaviour test-accuracy test-python test-order test-peers test-answers test-suites test-servers test-sql test-torch test-eval test-inject test-oom test-web test-serve check web picture asan tsan ubsan fuzz \
    stress soak cpython-suite third-party bench bench-build bench-quick bench-gate install wheel clean

all: ## Build the command (build/bin/memtap) and the agent
	@tools/need-packages $(BUILD_PACKAGES)
	@test -f $(BUILD)/build.ninja || $(CMAKE) -B $(BUILD) -DMEMTAP_TESTS=OFF >/dev/null
	@$(NINJA) -C $(BUILD)

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install what the build needs (Debian packages)
	@tools/need-packages $(BUILD_PACKAGES)

deps-test: ## Install what the tests need
	@tools/need-packages $(BUILD_PACKAGES) $(TEST_PACKAGES)

deps-bench: ## Install the peers that the benches compare with
	@tools/need-packages $(BUILD_PACKAGES) $(TEST_PACKAGES) $(BENCH_PACKAGES)

demo: ## Build, record a Python + numpy program that leaks, show the line
	@tools/need-packages $(BUILD_PACKAGES) python3 python3-numpy
	@$(MAKE) --no-print-directory all
	@tools/demo $(BUILD)

$(BUILD)/.tests-configured: CMakeLists.txt cmake/libraries.cmake python/CMakeLists.txt tests/CMakeLists.txt
	@$(MAKE) --no-print-directory deps-test
	@$(CMAKE) -B $(BUILD) -DMEMTAP_TESTS=ON -DMEMTAP_PYTHON=ON -DMEMTAP_LIBRARIES=all -DMEMTAP_WERROR=ON >/dev/null
	@touch $@

$(VENV)/.ready: tests/requirements.txt
	@mkdir -p $(BUILD)
	@$(PYTHON) -m venv --system-site-packages $(VENV)
	@$(VENV)/bin/python -m pip install -q -r tests/requirements.txt
	@touch $@

test: check test-unit test-behaviour test-accuracy test-python asan tsan ubsan fuzz ## Everything: artefacts, units, behaviour, statistics, Python, sanitizers

test-unit: $(BUILD)/.tests-configured ## Unit tests (cmocka under ctest, one process a test)
	@$(NINJA) -C $(BUILD)
	@ctest --test-dir $(BUILD) -j$(JOBS) --output-on-failure

test-behaviour: $(BUILD)/.tests-configured $(VENV)/.ready ## End-to-end tests on real programs (pytest)
	@$(NINJA) -C $(BUILD)
	@MEMTAP_EXTRA_PYTHONS="$$(tools/pythons $(BUILD)/pythons | grep /root/usr/bin/python)" \
	    $(PYTEST) tests/integration tests/web -m "not slow"

test-accuracy: $(BUILD)/.tests-configured $(VENV)/.ready ## Statistics of the sampler against known truth
	@$(NINJA) -C $(BUILD)
	@$(PYTEST) tests/accuracy

test-python: $(BUILD)/.tests-configured $(VENV)/.ready ## The Python package under every interpreter found, and its wheel
	@$(NINJA) -C $(BUILD) memtap_package
	@MEMTAP_WHEEL=$$(tools/wheel $(BUILD)/dist 2>$(BUILD)/wheel.log) || { tail -n 40 $(BUILD)/wheel.log; exit 1; }; \
	    MEMTAP_WHEEL=$$MEMTAP_WHEEL tools/python-lane $(BUILD) $(JOBS)

test-order: $(BUILD)/.tests-configured $(VENV)/.ready ## 1,000 random programs of threads, and 1,000 of processes: the peak of each against its own books (minutes)
	@$(NINJA) -C $(BUILD)
	@MEMTAP_BIN=$(abspath $(BUILD))/bin/memtap $(VENV)/bin/python tests/orders.py 1000

test-peers: $(BUILD)/.tests-configured $(VENV)/.ready ## What memray's, pytest-memray's and heaptrack's own tests ask, asked of memtap; writes tests/peers/TABLE.md
	@$(NINJA) -C $(BUILD) memtap_package
	@$(VENV)/bin/python -m pip install -q greenlet
	@$(PYTHON) -m venv $(BUILD)/pytest-memray && $(BUILD)/pytest-memray/bin/python -m pip install -q pytest-memray
	@PYTEST_MEMRAY_PYTHON=$(abspath $(BUILD))/pytest-memray/bin/python PYTHONPATH=$(abspath $(BUILD))/python PEER_TABLE=tests/peers/TABLE.md $(VENV)/bin/python -m pytest -q --timeout=600 tests/peers

test-answers: $(BUILD)/.tests-configured ## First rows of programs that leak at a known line, beside memray's, heaptrack's and tracemalloc's; writes tests/answers/TABLE.md (minutes)
	@tools/need-packages g++ heaptrack
	@$(NINJA) -C $(BUILD)
	@$(PYTHON) -m venv $(BUILD)/answers && $(BUILD)/answers/bin/python -m pip install -q flask fastapi uvicorn celery ipykernel jupyter_client memray
	@$(PYTHON) tests/answers/table.py --python $(BUILD)/answers/bin/python --memtap $(BUILD)/bin/memtap --write tests/answers/TABLE.md

test-sql: $(BUILD)/.tests-configured $(VENV)/.ready ## Queries over a million rows, answers compared with DuckDB's and times beside its (minutes)
	@$(NINJA) -C $(BUILD) memtap_package
	@$(VENV)/bin/python -m pip install -q duckdb
	@PYTHONPATH=$(abspath $(BUILD))/python $(VENV)/bin/python tests/sql/speed.py --memtap $(abspath $(BUILD))/bin/memtap

test-torch: $(BUILD)/.tests-configured $(VENV)/.ready ## Training loops of the real torch: rows, memory to the byte, what tracing costs (installs 600 MB; minutes)
	@tools/need-packages python3-torch
	@$(NINJA) -C $(BUILD) memtap_package
	@PYTHONPATH=$(abspath $(BUILD))/python MEMTAP_TEST_TORCH=1 $(VENV)/bin/python -m pytest -q --timeout=600 -p no:cacheprovider tests/torch tests/python/test_torch.py
	@PYTHONPATH=$(abspath $(BUILD))/python $(VENV)/bin/python tests/torch/overhead.py

test-servers: $(BUILD)/.tests-configured $(VENV)/.ready ## nginx, PostgreSQL, redis, gunicorn, node, java … recorded whole (minutes)
	@tools/need-packages $(SERVER_PACKAGES)
	@$(NINJA) -C $(BUILD) memtap_package
	@PYTHONPATH=$(abspath $(BUILD))/python MEMTAP_BIN=$(abspath $(BUILD))/bin/memtap \
	    $(VENV)/bin/python -m pytest -q -rP --timeout=1800 tests/servers

test-eval: $(BUILD)/.tests-configured $(VENV)/.ready ## The programs of tests/guides in Pythons with and without torch (Debian's), and thousands of evals among threads that print all the time (minutes)
	@tools/need-packages python3-torch
	@$(NINJA) -C $(BUILD)
	@MEMTAP_EXTRA_PYTHONS="$$(tools/pythons $(BUILD)/pythons | grep /root/usr/bin/python)" \
	    $(PYTEST) tests/integration/test_guide_evals.py tests/integration/test_eval.py

test-inject: $(BUILD)/.tests-configured ## 200 storms, 100 Pythons, every way to wait, servers joined while they run, 100 cycles in one process, 200 killed memtaps (half an hour; ROWS=)
	@tools/need-packages $(SERVER_PACKAGES)
	@$(NINJA) -C $(BUILD)
	@MEMTAP_PYTHONS="$$(tools/pythons $(BUILD)/pythons | tr '\n' ' ')" MEMTAP_BIN=$(abspath $(BUILD))/bin/memtap \
	    $(PYTHON) tests/stress/inject.py $(if $(ROWS),--only $(ROWS))

test-web: $(BUILD)/.tests-configured $(VENV)/.ready ## The page in a browser at three sizes, themes and widths; accessibility; rebuilt from its sources (minutes)
	@command -v npm >/dev/null || tools/need-packages $(WEB_PACKAGES)
	@$(NINJA) -C $(BUILD)
	@$(PYTEST) tests/web

test-serve: $(BUILD)/.tests-configured $(VENV)/.ready ## The server, all of its tests: go's pprof by URL, metrics, its monitor, slow clients, the page in a browser (minutes)
	@tools/need-packages golang-go
	@$(NINJA) -C $(BUILD)
	@$(PYTEST) --timeout=1800 tests/integration/test_serve.py tests/integration/test_serve_tools.py
	@$(PYTEST) tests/web/test_page_served.py

check: $(BUILD)/.tests-configured ## Layer rule, circles between files, format's document, exported symbols, imports, TLS, relocations
	@$(NINJA) -C $(BUILD)
	@tools/check-layers
	@tools/check-circles $(BUILD)
	@tools/check-format
	@tools/check-web
	@tools/check-artefacts $(BUILD)/bin/libmemtap-agent.so

asan: $(BUILD)/.tests-configured ## Unit tests under AddressSanitizer and UBSan
	@tools/sanitizer-lane asan $(BUILD) $(JOBS)

tsan: $(BUILD)/.tests-configured ## Unit tests of the engine under ThreadSanitizer
	@tools/sanitizer-lane tsan $(BUILD) $(JOBS)

ubsan: $(BUILD)/.tests-configured ## The agent with trapping UBSan under real programs
	@tools/sanitizer-lane ubsan $(BUILD) $(JOBS)

fuzz: $(BUILD)/.tests-configured ## Fuzz the trace decoder for a minute and replay its corpus
	@tools/sanitizer-lane fuzz $(BUILD) $(JOBS)

stress: $(BUILD)/.tests-configured $(VENV)/.ready ## Torture: kills, forks, threads, full disks (minutes)
	@$(NINJA) -C $(BUILD)
	@$(PYTEST) tests/stress

soak: $(BUILD)/.tests-configured $(VENV)/.ready ## 10^8 samples and 200 kills of a sampled trace with a size (a quarter of an hour; SAMPLES=, KILLS=)
	@$(NINJA) -C $(BUILD)
	@$(VENV)/bin/python tests/stress/soak_bounded.py $(BUILD)/bin/memtap $(BUILD)/targets $(or $(SAMPLES),100000000) $(or $(KILLS),200)

test-oom: $(BUILD)/.tests-configured ## Programs that the kernel kills in memory control groups, and what postmortem says of them (needs root and v1; minutes; KILLS=)
	@$(NINJA) -C $(BUILD)
	@$(PYTHON) tests/stress/oom.py $(BUILD)/bin/memtap $(or $(KILLS),50)

cpython-suite: $(BUILD)/.tests-configured $(VENV)/.ready ## CPython's own tests under memtap, every Python found (long)
	@$(NINJA) -C $(BUILD)
	@MEMTAP_BIN=$(abspath $(BUILD))/bin/memtap $(VENV)/bin/python tests/stress/cpython_suite.py

third-party: $(BUILD)/.tests-configured ## Tests of numpy, pandas and scikit-learn with memprof at 64 KiB and without (minutes)
	@$(NINJA) -C $(BUILD)
	@$(PYTHON) tests/stress/third_party.py --venv $(BUILD)/third-party --package-path $(BUILD)/python

test-suites: $(BUILD)/.tests-configured ## Tests of attrs, jinja2, click, more-itertools, networkx under pytest --memtap and without (minutes)
	@$(NINJA) -C $(BUILD) memtap_package
	@$(PYTHON) tests/stress/suites.py --venv $(BUILD)/suites --package-path $(BUILD)/python

bench-build: all ## What the benches need: peers, their Pythons, the package
	@$(MAKE) --no-print-directory deps-bench
	@$(CMAKE) -B $(BUILD) -DMEMTAP_PYTHON=ON >/dev/null && $(NINJA) -C $(BUILD)
	@bench/setup.sh

bench: bench-build ## Every number of the README, with peers, interleaved (long)
	@$(PYTHON) bench/run.py

bench-quick: bench-build ## The same with few rounds
	@$(PYTHON) bench/run.py --quick

bench-gate: all ## Counted instructions of the hot path against their limits (callgrind)
	@tools/need-packages $(BUILD_PACKAGES) valgrind
	@$(PYTHON) bench/gate.py

web: ## Build the page of flamegraph from web/src (npm; what memtap is built from is checked in)
	@command -v npm >/dev/null || tools/need-packages $(WEB_PACKAGES)
	@cd web && npm ci --ignore-scripts --no-audit --no-fund --silent && npx tsc --noEmit && node build.mjs

picture: all $(VENV)/.ready ## The picture of the README: the page of examples/demo.py in a browser
	@tools/need-packages chromium fonts-dejavu-core python3-numpy
	@$(VENV)/bin/python tools/picture $(BUILD)

install: all ## Install to PREFIX (default /usr/local)
	@cmake --install $(BUILD)

wheel: ## Build dist/memtap-*-manylinux_*.whl (gcc, and Debian archives fetched into build/wheel)
	@tools/need-packages gcc make cmake ninja-build binutils bzip2 python3-venv tcl
	@tools/wheel dist

clean: ## Remove the build folder
	@rm -rf $(BUILD)
