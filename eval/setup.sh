#!/bin/sh
# Fetches what scenarios of the corpus build, test and install, into target/eval/files, which they see as
# /mnt. Does nothing where all is there. Installs nothing on this machine.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
files=$root/target/eval/files
mkdir -p "$files"

say() { echo "eval/setup.sh: $*" >&2; }

# What has been fetched in full has a mark.
fetch() {
    what=$1
    [ -e "$files/$what/.complete" ] && return
    say "fetching $what"
    rm -rf "${files:?}/$what"
    mkdir -p "$files/$what"
    "get_$what"
    touch "$files/$what/.complete"
}

# Packages that are configured anew, removed, upgraded.
get_debs() {
    (cd "$files/debs" && apt-get download -qq nginx nginx-common lighttpd openssl ca-certificates cron \
        logrotate php8.2-cli php8.2-fpm >&2)
}

# Projects whose own tests are run, and what these need.
get_sdist() {
    python3 -m pip download -q --disable-pip-version-check --no-deps --no-binary :all: \
        -d "$files/sdist" click==8.1.8 flask==3.1.3 h11==0.16.0 markupsafe==3.0.2
}

get_python() {
    /usr/bin/python3 -m pip install -q --disable-pip-version-check --target "$files/python" \
        flask==3.1.3 pytest==8.3.5
}

# What is configured, compiled and tested.
get_source() {
    "$root/scripts/fetch-source.sh" hello "$files/source"
}

for what in debs sdist python source; do fetch "$what"; done
