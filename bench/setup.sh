#!/bin/sh
# Installs what the bench compares picket with: execsnoop (libbpf-tools) and auditd.
# Does nothing where both are there. Does not start auditd, and does not let the package start it.
set -eu

say() { echo "bench/setup.sh: $*" >&2; }

packages=
[ -x /usr/sbin/execsnoop ] || packages="$packages libbpf-tools"
[ -x /usr/sbin/auditd ] || packages="$packages auditd"
if [ -z "$packages" ]; then
    say "execsnoop and auditd are installed"
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    say "no apt-get here: install$packages by other means, or their rows stay \"not measured\""
    exit 0
fi
if [ "$(id -u)" != 0 ]; then
    say "not root: run sudo apt-get install$packages, or their rows stay \"not measured\""
    exit 0
fi

# A policy that says 101 keeps packages from starting their daemons.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

say "installing$packages"
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >&2

case "$packages" in
*auditd*)
    if [ -d /run/systemd/system ]; then
        say "auditd was installed for measuring only: systemctl disable auditd"
        systemctl disable auditd >&2
    fi
    ;;
esac
