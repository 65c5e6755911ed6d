# Two commands matter: `make demo` shows what weir is for, `make test` is everything CI runs.
# The README names the others.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
CARGO ?= cargo
# Programs the tests run for real, and the Debian packages they come from.
TOOLS := curl:curl wrk:wrk h2load:nghttp2-client slowhttptest:slowhttptest promtool:prometheus chromium:chromium npm:npm nginx:nginx-light haproxy:haproxy
# Of these packages Debian starts a server, at the installation and at each boot; the tests start their own, on ports of their own.
# The installation asks this policy first, and 101 is no (invoke-rc.d(8)).
SERVICES := prometheus nginx haproxy
SERVICE_POLICY := /usr/sbin/policy-rc.d
DENY_VERSION := 0.20.2
# Judges pages by WCAG in the browser test; shipped by the npm registry only.
AXE_VERSION := 4.14.1

.DEFAULT_GOAL := help
.PHONY: help demo overload sabotage attack laws bench baseline burst valgrind test tools fmt clippy unit long loom fuzz deny doc build

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

build: ## the release binaries
	$(CARGO) build --release --locked --workspace --bins

demo: build ## the collapse without a gateway, and the same crowd through weir; under two minutes
	target/release/loadtest demo --weir target/release/weir --config config.toml

overload: build ## scenarios of overload on real sockets, medians of five seeds; it says how long it takes (OVERLOAD=--quick: 90 s)
	target/release/loadtest overload --weir target/release/weir $(OVERLOAD)

# Each fault that a test build of weir can commit, and what must turn red: an invariant of the oracle, or a figure over its threshold.
SABOTAGES := drop-after-accept:I1 double-forward:I2 over-admit:I4 forget-permit:I4 over-quota:I5 lifo:I6 let-newcomers-overtake:I6 \
	requeue-on-refresh:I7 idle:I8 swallow:I9 accept-forged-ticket:I10 eta-lies:eta_coverage
SABOTAGE_SCENARIO ?= loadtest/scenarios/sabotage.toml

sabotage: build ## break weir on purpose in twelve ways: each must turn the right verdict red, and the honest build none
	$(CARGO) build --profile sabotage --locked --package weir --bin weir --features sabotage
	rm -rf target/sabotage/runs
	target/release/loadtest run $(SABOTAGE_SCENARIO) --weir target/release/weir --out target/sabotage/runs/honest
	@for fault in $(SABOTAGES); do \
		name="$${fault%%:*}"; out="target/sabotage/runs/$$name"; \
		WEIR_SABOTAGE="$$name" target/release/loadtest run $(SABOTAGE_SCENARIO) --weir target/sabotage/weir --out "$$out" >"target/sabotage/$$name.txt" || true; \
		target/release/loadtest check "$$out" --expects "$${fault##*:}" >>"target/sabotage/$$name.txt" \
			|| { echo "sabotage $$name: $${fault##*:} is not red, see target/sabotage/$$name.txt" >&2; exit 1; }; \
		echo "sabotage $$name: $${fault##*:} is red, as it must be"; \
	done

attack: tools ## slowhttptest in four modes, h2load and floods of 5,000 connections beside 500 people; minutes, on 127/8 only
	mkdir -p target
	WEIR_ATTACK=1 $(CARGO) test --release --locked --test e2e -- --test-threads 1 --nocapture attack:: | tee target/attack.txt
	@echo; echo '| attack | connections at once | p99 alone, ms | p99 attacked, ms | ratio | p99 afterwards, ms | failed | memory before / most / after, MiB | attackers gone after, s |'
	@echo '|---|---|---|---|---|---|---|---|---|'; grep '^|' target/attack.txt

laws: ## the table of concurrency laws against a service that changes, in virtual time; a minute after the build
	$(CARGO) bench --locked --bench overload

bench: valgrind ## what a request costs: instructions against the baseline, times, latency, then CPU and memory beside the proxies installed; ten minutes after the build
	$(CARGO) bench --locked --bench instructions
	$(CARGO) bench --locked --bench operations --bench decision --bench room
	$(CARGO) bench --locked --bench scaling
	$(CARGO) bench --locked --bench latency
	$(CARGO) bench --locked --bench side_by_side

baseline: valgrind ## write the instructions of this build into benches/instructions/baseline.toml, against which `make bench` compares
	WEIR_BASELINE=renew $(CARGO) bench --locked --bench instructions

burst: ## 80,000 requests held over HTTP/2 and 16,000 over HTTP/1.1, let go in order; their memory, and whether it goes back; the last line says so
	$(CARGO) bench --locked --bench burst

test: tools fmt clippy doc unit loom deny ## everything CI runs
	@echo "make test: everything passed"

# callgrind counts instructions in `make bench`; nothing else needs it.
valgrind:
	@command -v valgrind >/dev/null || $(MAKE) --no-print-directory tools TOOLS=valgrind:valgrind

tools: ## install, or ask for, the programs that the tests run
	@missing=""; \
	for tool in $(TOOLS); do \
		command -v "$${tool%%:*}" >/dev/null || missing="$$missing $${tool##*:}"; \
	done; \
	if [ -n "$$missing" ]; then \
		if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
			if ! [ -e $(SERVICE_POLICY) ]; then \
				trap 'rm -f $(SERVICE_POLICY)' EXIT; \
				printf '#!/bin/sh\nexit 101\n' >$(SERVICE_POLICY); chmod +x $(SERVICE_POLICY); \
			fi; \
			apt-get update -qq; \
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
			for service in $(SERVICES); do \
				case "$$missing" in *" $$service"*) systemctl --quiet disable "$$service" 2>/dev/null || true;; esac; \
			done; \
		else \
			echo "make test needs these packages:$$missing (Debian: sudo apt-get install$$missing)" >&2; exit 1; \
		fi; \
	fi
	@if ! [ -e target/axe/package/axe.min.js ]; then \
		mkdir -p target/axe; \
		npm pack --silent --pack-destination target/axe axe-core@$(AXE_VERSION) >/dev/null; \
		tar -C target/axe -xf target/axe/axe-core-$(AXE_VERSION).tgz package/axe.min.js; \
	fi

fmt:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" $(CARGO) doc --locked --workspace --no-deps --document-private-items

unit: ## unit, property and end-to-end tests
	$(CARGO) test --locked --workspace

loom: ## the permit gates and the quota under the model checker
	$(CARGO) test --locked --lib --features loom model::

long: ## 10^8 forged tickets, 10 million places, rooms killed a thousand times, 80,000 joins at once; for minutes; optimised, because that is what makes it minutes
	WEIR_LONG=1 CARGO_PROFILE_TEST_OPT_LEVEL=3 $(CARGO) test --locked --lib -- waiting_room::ticket waiting_room::order waiting_room::room::tests::kills
	WEIR_LONG=1 $(CARGO) test --release --locked --test e2e -- --nocapture rooms_rush::everybody

# What the fuzzer finds on its way stays under target/; what is worth keeping is put into fuzz/corpus by hand, and `make test` replays it.
FUZZ_SECONDS ?= 60
fuzz: ## every parser under the fuzzer, for FUZZ_SECONDS each; needs a nightly compiler and cargo-fuzz
	@for target in $$($(CARGO) +nightly fuzz list); do \
		mkdir -p target/fuzz/$$target; \
		$(CARGO) +nightly fuzz run --sanitizer none $$target target/fuzz/$$target fuzz/corpus/$$target -- -max_total_time=$(FUZZ_SECONDS); \
	done

deny: ## licences, sources and duplicates of the dependencies; advisories where the advisory data can be had
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked --version $(DENY_VERSION) cargo-deny
	$(CARGO) deny --config .cargo/deny.toml check bans licenses sources
	@if $(CARGO) deny --config .cargo/deny.toml fetch db >/dev/null 2>&1; then \
		$(CARGO) deny --config .cargo/deny.toml check advisories; \
	else \
		echo "cargo deny: the advisory database cannot be reached from here: advisories NOT checked"; \
	fi
