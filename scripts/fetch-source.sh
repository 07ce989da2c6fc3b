#!/bin/sh
# Fetches the original archive of a Debian source package into a directory.
# Usage: scripts/fetch-source.sh PACKAGE DIRECTORY
# apt with lists of its own, from the places that this machine uses anyway, for sources only.
set -eu

package=$1
mkdir -p "$2"
into=$(cd "$2" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/parts" "$work/files"
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ ! -f "$list" ] || sed -n 's/^deb /deb-src /p' "$list" >"$work/parts/$(basename "$list" .list).list"
done
for list in /etc/apt/sources.list.d/*.sources; do
    [ ! -f "$list" ] || sed 's/^Types:.*/Types: deb-src/' "$list" >"$work/parts/$(basename "$list")"
done
cat >"$work/apt.conf" <<END
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$work/parts";
Dir::State::lists "$work/lists";
Dir::Cache "$work/cache";
APT::Sandbox::User "root";
Acquire::Retries "3";
END
export APT_CONFIG="$work/apt.conf"
apt-get update -qq
(cd "$work/files" && apt-get source -qq --download-only --tar-only "$package" >&2)
rm -f "$work"/files/*.asc
cp "$work"/files/*.orig.tar.* "$into/"
