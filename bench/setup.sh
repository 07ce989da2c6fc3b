#!/bin/sh
# Installs what the bench needs beside picket, and says so:
# - the tools that it compares picket with: execsnoop (libbpf-tools), bpftrace, auditd, laurel;
# - nettle's sources, unpacked below target/bench, which it configures and compiles.
# Does nothing where all is there. Starts no daemon, and does not let a package start one.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
work=$root/target/bench
source=nettle

say() { echo "bench/setup.sh: $*" >&2; }

missing() {
    [ -x /usr/sbin/execsnoop ] || echo libbpf-tools
    [ -x /usr/sbin/execsnoop.bt ] || echo bpftrace
    [ -x /usr/sbin/auditd ] || echo auditd
    [ -x /usr/sbin/laurel ] || echo laurel
    command -v gcc >/dev/null || echo gcc
    command -v make >/dev/null || echo make
}

install_tools() {
    packages=$(missing | tr '\n' ' ')
    if [ -z "$packages" ]; then
        say "the tools to compare with are installed"
        return
    fi
    if [ "$(id -u)" != 0 ]; then
        say "not root: run sudo apt-get install $packages, or their rows stay \"not measured\""
        return
    fi
    # A policy that says 101 keeps packages from starting their daemons.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        trap 'exit 1' INT TERM
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    say "installing $packages"
    apt-get update -qq
    for package in $packages; do
        # One by one: not every release has all of them.
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            -o DPkg::Lock::Timeout=300 "$package" >&2 ||
            say "cannot install $package: its rows stay \"not measured\""
    done
    case " $packages" in
    *" auditd "*)
        if [ -d /run/systemd/system ]; then
            say "auditd was installed for measuring only: systemctl disable auditd"
            systemctl disable auditd >&2
        fi
        ;;
    esac
}

fetch_source() {
    if [ -x "$work/$source/configure" ]; then
        say "the sources of $source are in target/bench"
        return
    fi
    say "fetching the sources of $source into target/bench"
    rm -rf "$work"
    mkdir -p "$work/unpack"
    (
        "$root/scripts/fetch-source.sh" "$source" "$work/unpack"
        cd "$work/unpack"
        for archive in ./*.orig.tar.*; do tar -xf "$archive"; done
    ) || say "that failed: nothing is compiled or configured, and those rows stay \"not measured\""
    for configure in "$work"/unpack/*/configure; do
        [ -x "$configure" ] || continue
        tree=$(dirname "$configure")
        basename "$tree" >"$tree/picket-bench.version"
        mv "$tree" "$work/$source"
    done
    rm -rf "$work/unpack"
}

if ! command -v apt-get >/dev/null; then
    say "no apt-get here: install by other means, or their rows stay \"not measured\": $(missing | tr '\n' ' ')"
    exit 0
fi
install_tools
fetch_source
