#!/usr/bin/env bash
# Fetches the false-positive corpus: the programs, scripts and libraries of some five thousand
# Debian 12 packages, on which `picket identify` must call nothing a web server that is none. Which
# of them are one, and may be called so, is in scripts/corpus-expect.txt.
#
#   scripts/corpus.sh           fetch and unpack what is missing
#   scripts/corpus.sh --count   only count what is there
#
# The packages are those of scripts/corpus.txt. Nothing of them is installed. Each is fetched with
# apt-get into target/corpus/debs, unpacked to target/corpus/root/PACKAGE, and deleted. Only its ELF
# files, its scripts (what starts with #!) and its .jar files are kept: no links, documents, pictures,
# and no setuid bits. A package that is there already is left alone, so a run that was stopped is
# continued by the next, and a run with nothing to do says nothing. It can all be removed at any time.
#
# For Debian 12; root is not needed if its package lists are there. Takes 4.5 GB of download and
# 15 GB of disk. CORPUS=DIRECTORY puts it elsewhere than target/corpus.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
list=$root/scripts/corpus.txt
base=${CORPUS:-$root/target/corpus}
parallel=2
batch=25 # packages that one apt-get fetches

say() { printf 'corpus: %s\n' "$*" >&2; }

fail() {
  say "$*"
  exit 1
}

wanted() { sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$list"; }

# Those of the wanted packages that are not unpacked, one a line.
missing() {
  local name
  wanted | while read -r name; do
    [[ -d $base/root/$name ]] || printf '%s\n' "$name"
  done
}

# The files below a directory, each with its kind before it (E: ELF, S: script, J: jar, -: none of
# these), separated by NUL.
kinds() {
  find "$1" -type f -print0 | LC_ALL=C perl -0 -ne '
    chomp;
    my $magic = "";
    if (open my $file, "<:raw", $_) { read $file, $magic, 4; close $file }
    my $kind = $magic eq "\x7fELF" ? "E" : substr($magic, 0, 2) eq "#!" ? "S" : /\.jar\z/ ? "J" : "-";
    print "$kind$_\0"'
}

# unpack ARCHIVE: the package appears under its name only when all is done.
unpack() {
  local name=${1##*/} part
  name=${name%%_*}
  part=$base/root/.$name.part
  rm -rf "$part"
  mkdir -p "$part"
  if ! dpkg-deb -x "$1" "$part"; then
    rm -rf "$part" "$1"
    return 1
  fi
  chmod -R u+rwX,go-w,a-st "$part"
  rm -rf "$part"/usr/share/{doc,doc-base,man,info,locale,icons,fonts}
  find "$part" ! -type d ! -type f -delete
  kinds "$part" | sed -zn 's/^-//p' | xargs -0r rm -f
  find "$part" -mindepth 1 -type d -empty -delete
  mv -T "$part" "$base/root/$name"
  rm -f "$1"
}

# fetch PACKAGE...: one after the other if all at once fails, so that one missing fails alone.
fetch() {
  local name archive into
  into=$(mktemp -d "$base/debs/XXXXXX")
  cd "$into"
  # From Debian, also where the machine has another archive with a newer version.
  local apt=(apt-get -qq -o Dir::Etc::Preferences="$base/preferences" -o APT::Sandbox::User=root
    -o Acquire::Retries=3 download)
  if ! "${apt[@]}" "$@" 2>/dev/null; then
    for name in "$@"; do
      compgen -G "${name}_*.deb" >/dev/null || "${apt[@]}" "$name" 2>/dev/null || say "cannot be had: $name"
    done
  fi
  for archive in *.deb; do
    [[ -f $archive ]] || continue
    unpack "$into/$archive" || say "cannot be unpacked: $archive"
  done
  cd "$base"
  rm -rf "$into"
}

count() {
  kinds "$base/root" | cut -z -c1 | tr '\0' '\n' | sort | uniq -c |
    awk '{ n[$2] = $1 } END { printf "%d ELF files, %d scripts, %d jars", n["E"], n["S"], n["J"] }'
  printf ' of %d packages, %s\n' "$(find "$base/root" -mindepth 1 -maxdepth 1 ! -name '.*' | wc -l)" \
    "$(du -sh "$base/root" | cut -f1)"
}

case ${1:-} in
--fetch)
  # How this script calls itself, for one batch.
  shift
  fetch "$@"
  exit
  ;;
--count)
  count
  exit
  ;;
'') ;;
*) fail "usage: scripts/corpus.sh [--count]" ;;
esac

for tool in apt-get apt-cache dpkg-deb perl; do
  command -v "$tool" >/dev/null || fail "needs $tool: run it on Debian 12"
done
mkdir -p "$base/debs" "$base/root"
mapfile -t names < <(missing)
((${#names[@]})) || exit 0

# What is left of a run that was stopped.
find "$base/debs" "$base/root" -mindepth 1 -maxdepth 1 \( -path "$base/debs/*" -o -name '.*.part' \) -exec rm -rf {} +

printf 'Package: *\nPin: release o=Debian\nPin-Priority: 1001\n' >"$base/preferences"
if [[ -z $(apt-cache madison "${names[0]}" 2>/dev/null) ]]; then
  ((EUID == 0)) || fail "there are no package lists: run as root, or: sudo apt-get update"
  say "updating the package lists"
  apt-get -qq update
fi
say "fetching ${#names[@]} Debian packages into ${base#"$root"/}, installing none"
printf '%s\n' "${names[@]}" | nice xargs -n "$batch" -P "$parallel" "$root/scripts/corpus.sh" --fetch || true

mapfile -t names < <(missing)
say "$(count)"
((${#names[@]} == 0)) || fail "${#names[@]} packages are missing, run it again: ${names[*]:0:10}"
