# make run    install what is missing, build, watch this machine
# make test   install what is missing, run every check
# make help   the others

SHELL := /bin/bash
export PATH := $(HOME)/.cargo/bin:$(PATH)
PICKET := target/release/picket

.PHONY: help run build test check unit it flood fuzz fuzz-check fuzz-seeds vmtest vmtest-short bench bench-smoke replay-bench evasion corpus eval gate-proof scan-eval docs man fmt clean setup setup-test

help:
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

run: build ## install what is missing, build, watch this machine until Ctrl-C
	$(PICKET) run

build: setup ## build target/release/picket
	cargo build --release --locked -p picket

# The servers of the integration tests come over the network while the compiler works.
SERVERS_LOG = target/test-servers-setup.log
test: setup-test ## install what is missing, run every check
	mkdir -p target
	scripts/test-servers-setup.sh >$(SERVERS_LOG) 2>&1 & servers=$$!; \
	$(MAKE) --no-print-directory check unit fuzz-check || { kill $$servers 2>/dev/null; exit 1; }; \
	wait $$servers || { cat $(SERVERS_LOG); exit 1; }; \
	cat $(SERVERS_LOG)
	$(MAKE) --no-print-directory it

check: setup-test ## formatting, lints, licences of the prose and scripts
	scripts/check.sh

# Always the whole workspace: with a part of it, cargo builds the dependencies of that part anew.
CARGO_TEST = cargo test --locked --workspace

unit: setup-test ## unit tests of all crates
	$(CARGO_TEST) --lib --bins --test command_lines

fuzz-check: setup-test ## hostile bytes for every parser: those that are kept, and changes to them
	$(CARGO_TEST) --test bounded --test limits

# Seconds for each target; TARGETS="elf mask" for some of them.
FUZZ_SECONDS ?= 600
fuzz: export FUZZ_SECONDS := $(FUZZ_SECONDS)
fuzz: setup-test ## libFuzzer looks for new ones (FUZZ_SECONDS=600 for each parser)
	scripts/fuzz.sh $(TARGETS)

fuzz-seeds: setup-test ## write the made inputs of fuzz/corpus anew
	cargo run --locked --profile fuzz -p picket-fuzz --bin picket-fuzz seeds

it: setup-test ## integration tests: real kernel events, real servers
	scripts/test-servers-setup.sh
	$(CARGO_TEST) --test kernel
	$(CARGO_TEST) --test it

vmtest: setup-test ## boot other kernels, test picket on each, write docs/kernels.md (about an hour)
	scripts/setup.sh vm-all
	scripts/vmtest.py --write

vmtest-short: setup-test ## one other kernel, some of the tests
	scripts/setup.sh vm
	scripts/vmtest.py --short

flood: setup-test ## the flood tests in full size (make test: in short); takes the whole machine
	PICKET_FLOOD=full cargo test --locked -p picket --test it flood::

# Rounds of each work load, growth included; unset, each has its own number.
BENCH_ROUNDS ?=
BENCH = bench/setup.sh && cargo run --release --locked -p picket-bench --
bench: build ## measure, and write docs/figures.md (20 to 25 minutes; BENCH_ROUNDS=N)
	$(BENCH) $(if $(BENCH_ROUNDS),--rounds $(BENCH_ROUNDS))

bench-smoke: build ## prove that every part of the bench works (about 2 minutes), write nothing
	$(BENCH) --quick

replay-bench: build ## how fast a recording is replayed, against SQL; write docs/figures.md (some minutes)
	scripts/replay-speed.py --write

evasion: setup-test ## run the evasion matrix, write docs/figures.md
	scripts/test-servers-setup.sh
	PICKET_EVASION_TABLE=1 cargo test --locked -p picket --test it evasion::

corpus: build ## fetch 5000 Debian packages (4 GB), identify all their programs, write docs/figures.md
	scripts/corpus.sh
	scripts/corpus-check.py --write

eval: build ## precision and recall over the recorded corpus, write docs/evaluation.md
	eval/run.py --write

scan-eval: build ## precision and recall of `picket scan` over real projects, write docs/scan.md
	eval/scan/run.py --write

gate-proof: build ## run real projects' tests under picket ci, as they are and with backdoors; write docs/figures.md
	scripts/test-servers-setup.sh
	eval/setup.sh
	eval/gate.py --write

docs: ## write docs/schema from the types
	cargo build --locked -p picket
	mkdir -p docs/schema
	for what in catalogue unwrap recipe baseline exceptions config; do \
		target/debug/picket schema $$what > docs/schema/$$what.json; done

man: build ## write manual pages and completions to target/man and target/completions
	$(PICKET) man target/man
	mkdir -p target/completions
	for shell in bash zsh fish; do $(PICKET) completions $$shell > target/completions/picket.$$shell; done

fmt: ## format Rust and C
	cargo fmt
	clang-format -i crates/probe/bpf/*.h crates/probe/bpf/*.c crates/probe/bpf/hook/*.h

clean: ## remove everything that was built
	cargo clean

setup:
	scripts/setup.sh build

setup-test:
	scripts/setup.sh test
