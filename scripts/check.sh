#!/usr/bin/env bash
# Formatting, lints, licences: everything that needs no running kernel.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { echo "check: $*"; }

step "Rust formatting"
cargo fmt --all -- --check
step "C formatting"
clang-format --dry-run -Werror crates/probe/bpf/*.h crates/probe/bpf/*.c crates/probe/bpf/hook/*.h
step "Rust lints"
cargo clippy --locked --workspace --all-targets --features picket-fuzz/libfuzzer -- -D warnings
step "shell scripts"
shellcheck scripts/*.sh scripts/vmtest/guest/* bench/*.sh eval/setup.sh .ci/run
step "licences of the dependencies"
scripts/licences.sh
