# pinstripe. `make run` shows it, `make test` tests it; each first installs what this Debian machine lacks, by name.
#
#   make              the library and the Lua modules, under build/
#   make run          a Lua script takes a payment and more, against the sandbox: no key, no network
#   make run LIVE=1   another drives Stripe itself, with STRIPE_API_KEY, which must be a test key
#   make test         every test
#   make lint         form, warnings, sizes
#   make asan         every test of C and Lua under the address and undefined sanitizers
#   make valgrind     the C tests under valgrind
#   make bench        measures and prints ratios
#   make env          export lines for Lua 5.4 and Python: eval "$(make -s env)"
#   make install      PREFIX=/usr/local DESTDIR=
#   make dist         the archive, with all that is generated: it builds without Python
#   make format       gives C sources the project's form
#   make clean
BUILD ?= build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
CTEST_FLAGS ?=
MAKEFLAGS += --no-print-directory

VERSION := $(shell sed -n 's/^.define PS_VERSION "\(.*\)"/\1/p' core/pinstripe.h)
NAME := pinstripe-$(VERSION)

# $(call build,FOLDER,CMAKE FLAGS): configures quietly, then builds.
build = @mkdir -p $(1) && { cmake -S . -B $(1) $(2) >$(1)/configure.log 2>&1 || { cat $(1)/configure.log; exit 1; }; }
compile = @cmake --build $(1) --parallel $(JOBS)

all:
	@.ci/install build
	$(call build,$(BUILD),-DPS_TESTS=OFF)
	$(call compile,$(BUILD))

run:
	@.ci/install run
	@$(MAKE) all
	@$(if $(LIVE),tests/tools/run-tour $(BUILD) live,. $(BUILD)/lua/5.4/env && lua5.4 examples/lua/payment.lua)

test:
	@.ci/install test
	$(call build,$(BUILD),-DPS_TESTS=ON)
	$(call compile,$(BUILD))
	@tests/tools/run-ctest $(BUILD) -j $(JOBS) $(CTEST_FLAGS)

asan:
	@.ci/install test asan
	$(call build,$(BUILD)/asan,-DPS_TESTS=ON -DPS_SANITIZE=address$(comma)undefined -DCMAKE_BUILD_TYPE=Debug)
	$(call compile,$(BUILD)/asan)
	@tests/tools/run-ctest $(BUILD)/asan -j $(JOBS) $(CTEST_FLAGS)
comma := ,

valgrind:
	@.ci/install test
	$(call build,$(BUILD),-DPS_TESTS=ON)
	$(call compile,$(BUILD))
	@tests/tools/run-valgrind $(BUILD)

lint:
	@.ci/install test lint
	$(call build,$(BUILD),-DPS_TESTS=ON)
	@cmake --build $(BUILD) --target pinstripe_generated
	@tests/tools/lint $(BUILD)

format:
	@.ci/install lint
	find core bindings lua/module lua/sandbox lua/shell tests examples -name '*.[ch]' | xargs clang-format -i

bench: all
	@.ci/install bench
	@tests/bench/run $(BUILD)
	@tests/bench/transfers $(BUILD)

env:
	@[ -e $(BUILD)/lua/5.4/pinstripe/core.so ] || echo "make env: nothing is built yet: run make" >&2
	@cat $(BUILD)/lua/5.4/env $(wildcard $(BUILD)/python/env)

install: all
	cmake --install $(BUILD) --prefix $(PREFIX)

dist:
	@.ci/install build
	$(call build,$(BUILD),-DPS_TESTS=OFF)
	@cmake --build $(BUILD) --target pinstripe_generated
	@tests/tools/dist $(BUILD) $(NAME)

clean:
	rm -rf $(BUILD)

.PHONY: all run test asan valgrind lint format bench env install dist clean
