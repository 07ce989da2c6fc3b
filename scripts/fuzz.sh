#!/usr/bin/env bash
# Lets LLVM's libFuzzer look for inputs that break a parser: every target, one after the other.
# Usage: scripts/fuzz.sh [TARGET…]
#   FUZZ_SECONDS  how long each target is fuzzed (600)
#   FUZZ_JOBS     how many targets at a time (as many as there are processors)
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${FUZZ_SECONDS:-600}
jobs=${FUZZ_JOBS:-$(nproc)}
host=x86_64-unknown-linux-gnu
work=${CARGO_TARGET_DIR:-target}/fuzz-work
mkdir -p "$work"
work=$(realpath "$work")

# libFuzzer comes with clang's runtime libraries. rustc's own compiler puts in what it needs to see
# which ways an input took, by flags that the stable toolchain has: neither nightly nor cargo-fuzz.
library() { clang -print-file-name=libclang_rt.fuzzer-x86_64.a; }
if [ ! -f "$(library)" ]; then
	package=libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev
	if [ "$(id -u)" -ne 0 ]; then
		echo "fuzz: missing: $package" >&2
		echo "fuzz: run as root, or: sudo apt-get install $package" >&2
		exit 1
	fi
	echo "fuzz: installing from Debian: $package"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
fi
flags=(-Cpasses=sancov-module -Ccodegen-units=1)
for flag in level=4 inline-8bit-counters pc-table trace-compares; do
	flags+=("-Cllvm-args=-sanitizer-coverage-$flag")
done
cargo build --locked --profile fuzz -p picket-fuzz --bin picket-fuzz
fuzz=${CARGO_TARGET_DIR:-target}/fuzz/picket-fuzz
# With --target, build scripts and macros are compiled without these flags.
RUSTFLAGS="${flags[*]}" CARGO_TARGET_DIR=$work/build cargo rustc --locked --profile fuzz \
	--target "$host" -p picket-fuzz --bin picket-libfuzzer --features libfuzzer -- \
	-Clink-arg="$(library)" -Clink-arg=-lstdc++
program=$work/build/$host/fuzz/picket-libfuzzer

one() {
	local name=$1 longest=$2 dir=$work/$1
	mkdir -p "$dir/corpus" "$dir/crashes"
	local status=0
	# As much as picket's own threads have.
	ulimit -s 2048
	PICKET_FUZZ=$name "$program" -max_total_time="$seconds" -max_len="$longest" \
		-timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=256 -report_slow_units=1 \
		-dict="fuzz/dict/$name.dict" -artifact_prefix="$dir/crashes/" -print_final_stats=1 \
		"$dir/corpus" "fuzz/corpus/$name" >"$dir/log" 2>&1 || status=$?
	local last
	last=$(grep -aE '^#[0-9]+' "$dir/log" | tail -1)
	echo "fuzz: $name: $(sed -n 's/^stat::number_of_executed_units: */executions /p' "$dir/log")," \
		"$(sed -n 's/^stat::average_exec_per_sec: */a second /p' "$dir/log")," \
		"$(sed -nE 's/.*cov: ([0-9]+) ft: ([0-9]+).*/edges \1, features \2/p' <<<"$last")"
	if [ "$status" -ne 0 ]; then
		echo "fuzz: $name: FAILED, see $dir/log and $dir/crashes" >&2
		return 1
	fi
}
targets=$("$fuzz" list)
if [ $# -gt 0 ]; then
	targets=$(for name in "$@"; do grep "^$name " <<<"$targets"; done)
fi
failed=0
running=0
while read -r name longest; do
	if [ "$running" -ge "$jobs" ]; then
		wait -n || failed=1
		running=$((running - 1))
	fi
	one "$name" "$longest" &
	running=$((running + 1))
done <<<"$targets"
for ((; running > 0; running--)); do
	wait -n || failed=1
done
if [ "$failed" -ne 0 ]; then
	echo "fuzz: once an input is fixed, keep it: cp FILE fuzz/corpus/TARGET/NAME" >&2
fi
exit "$failed"
