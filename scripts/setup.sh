#!/usr/bin/env bash
# Installs what is missing to build picket, and says what it installs.
# Usage: scripts/setup.sh [build|test|vm|vm-all]   (test adds what the checks need, vm the emulator and
# what makes disks for it, vm-all that of arm64 as well)
set -euo pipefail

what=${1:-build}

packages=(gcc libc6-dev make pkg-config clang libelf-dev zlib1g-dev ca-certificates)
if [ "$what" = test ]; then
	packages+=(clang-format shellcheck mandoc python3-venv rpm strace systemd)
fi
if [ "$what" = vm ] || [ "$what" = vm-all ]; then
	packages+=(qemu-system-x86 e2fsprogs python3-minimal binutils)
fi
if [ "$what" = vm-all ]; then
	packages+=(qemu-system-arm)
fi

missing=()
for package in "${packages[@]}"; do
	dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
	if [ "$(id -u)" -ne 0 ]; then
		echo "setup: missing: ${missing[*]}" >&2
		echo "setup: run as root, or: sudo apt-get install ${missing[*]}" >&2
		exit 1
	fi
	echo "setup: installing from Debian: ${missing[*]}"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

export PATH="$HOME/.cargo/bin:$PATH"
channel=$(sed -n 's/^channel = "\(.*\)"/\1/p' "$(dirname "$0")/../rust-toolchain.toml")
if ! command -v cargo >/dev/null; then
	echo "setup: installing the Rust toolchain $channel with rustup (from https://rustup.rs)"
	if ! command -v curl >/dev/null; then
		echo "setup: installing from Debian: curl"
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends curl >/dev/null
	fi
	curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
		sh -s -- -y --profile minimal --default-toolchain "$channel" -c clippy -c rustfmt
fi
