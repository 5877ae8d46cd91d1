# SPDX-License-Identifier: Apache-2.0
# Two commands do all the set-up: `make run` and `make test`. The build itself is meson's.
#
#   make run [TYPE=vxlan|gre|geneve] [UNDERLAY=4|6]   the lab, checked, left up
#   make stop                                         removes every trace of it
#   make test [SANITIZE=1] [WERROR=1] [WORKERS=2]     everything, in build-test/ or build-sanitize/
#   make build, make lint, make install
#   make test-kernel [KERNEL=6.1] [TESTS=...]         the fast path under another kernel, in a virtual machine (slow: no part of test)
#   make deb                                          Debian packages of what is committed, in build-deb/
#   make test-deb                                     builds them and installs them in a container (slow: no part of test)
#   make bench [SUITE=switch] [ROUNDS=3]              against peers in the same run, into bench/results/
#   make fuzz TARGET=match [SECONDS=60]               one of tests/fuzz, with libFuzzer (needs clang)
PYTHON := /usr/bin/python3
TYPE := vxlan
UNDERLAY := 4
# So many modules of the tests with whole switches run side by side.
WORKERS := 2
BUILD := build
VERSION = $(shell sed -n "s/^project.* version: '\([^']*\)'.*/\1/p" meson.build)
DEB = build-deb/warren-$(VERSION)
TEST_BUILD := $(if $(SANITIZE),build-sanitize,build-test)
SANITIZE_FLAGS := -Db_sanitize=address,undefined -Db_lundef=false
MESON_FLAGS := $(if $(WERROR),--werror) $(if $(SANITIZE),$(SANITIZE_FLAGS))
# The first error of either sanitizer ends the process, so that no test can overlook it.
SANITIZE_ENV := ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

.PHONY: build run stop test test-kernel deb test-deb bench lint fuzz install clean
.PHONY: deps-run deps-test deps-bench deps-test-kernel deps-deb deps-test-deb

build: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	meson setup $(BUILD)

$(TEST_BUILD)/build.ninja:
	meson setup $(TEST_BUILD) $(MESON_FLAGS)

deps-run:
	packaging/install-deps run

deps-test:
	packaging/install-deps test

deps-bench:
	packaging/install-deps bench

deps-test-kernel:
	packaging/install-deps test-kernel

deps-deb:
	packaging/install-deps deb

deps-test-deb:
	packaging/install-deps test-deb

run: deps-run
	@$(MAKE) --no-print-directory build
	$(PYTHON) lab/lab.py --build $(BUILD) run --type $(TYPE) --underlay $(UNDERLAY)

stop:
	$(PYTHON) lab/lab.py stop

test: deps-test
	@$(MAKE) --no-print-directory $(TEST_BUILD)/build.ninja
	ninja -C $(TEST_BUILD)
	@$(MAKE) --no-print-directory lint
	$(SANITIZE_ENV) meson test -C $(TEST_BUILD) --no-rebuild --print-errorlogs
	$(SANITIZE_ENV) WARREN_BUILD=$(TEST_BUILD) $(PYTHON) -B -m pytest -p no:cacheprovider -q \
	    -n $(WORKERS) --dist loadscope --durations=10 tests/e2e tests/interop

test-kernel: deps-test-kernel
	@$(MAKE) --no-print-directory build
	$(PYTHON) -B tests/vm/kernel.py --build $(BUILD) --kernel $(or $(KERNEL),6.1) $(if $(TESTS),-- $(TESTS))

# dpkg-buildpackage wants debian/ at the top of a tree that has nothing else in it.
deb: deps-deb
	rm -rf build-deb
	mkdir -p $(DEB)
	git archive HEAD | tar -x -C $(DEB)
	cp -r $(DEB)/packaging/debian $(DEB)/debian
	cd $(DEB) && dpkg-buildpackage -b -us -uc

test-deb: deps-test-deb
	@$(MAKE) --no-print-directory deb
	$(PYTHON) -B -m pytest -p no:cacheprovider -q tests/packages

bench: deps-bench
	@$(MAKE) --no-print-directory build
	$(PYTHON) -B bench/bench.py --build $(BUILD) $(if $(SUITE),--suite $(SUITE)) --rounds $(or $(ROUNDS),3)

build-fuzz/build.ninja:
	CC=clang meson setup build-fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false

fuzz: build-fuzz/build.ninja
	@test -n "$(TARGET)" || { echo "usage: make fuzz TARGET=... (see tests/fuzz/README.md)" >&2; exit 2; }
	ninja -C build-fuzz tests/fuzz/fuzz_$(TARGET)
	mkdir -p build-fuzz/corpus/$(TARGET)
	$(SANITIZE_ENV) build-fuzz/tests/fuzz/fuzz_$(TARGET) -max_total_time=$(or $(SECONDS),60) \
	    -artifact_prefix=build-fuzz/$(TARGET)- build-fuzz/corpus/$(TARGET) tests/fuzz/corpus/$(TARGET)

lint:
	$(PYTHON) -B tests/lint.py

install: build
	meson install -C $(BUILD)

clean:
	rm -rf build build-deb build-fuzz build-test build-sanitize
