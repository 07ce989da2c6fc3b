# shellcheck shell=bash
# What scenarios have in common; eval/record.py puts it before each of them.
set -euo pipefail

# up PORT: waits until somebody listens.
up() {
  local n
  for ((n = 0; n < 200; n++)); do
    (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null && { sleep 0.5; return; }
    sleep 0.1
  done
  echo "nobody listens on $1" >&2
  exit 1
}

# get PORT PATH: one request.
get() { curl --silent --show-error --fail --max-time 30 --output /dev/null "http://127.0.0.1:$1$2"; }

# web PORT COMMAND...: starts a server and waits for it.
web() {
  local port=$1
  shift
  setsid "$@" &
  up "$port"
}

# nginx_with PORT LOCATION: a configuration of nginx on standard output.
nginx_with() {
  printf 'pid /run/nginx.pid; error_log /dev/null; events {}\nhttp { access_log off; server { listen %s; root /srv/site; %s } }\n' "$1" "$2"
}

# fpm: PHP's FastCGI server on a socket.
fpm() {
  printf '[global]\nerror_log=/dev/null\n[www]\nuser=www-data\ngroup=www-data\nlisten=/run/php.sock\nlisten.mode=0666\npm=static\npm.max_children=1\n' >/srv/fpm.conf
  setsid php-fpm8.2 -n -y /srv/fpm.conf -F &
  sleep 1
}

php_site=$'location / { fastcgi_pass unix:/run/php.sock; fastcgi_param SCRIPT_FILENAME /srv/site$uri; fastcgi_param REQUEST_METHOD GET; fastcgi_param QUERY_STRING $query_string; }'

# apache_conf: a configuration of Apache with CGI, on standard output, port 8080.
apache_conf() {
  local m=/usr/lib/apache2/modules
  printf '%s\n' "ServerRoot /srv" "ServerName x" "PidFile /run/apache2.pid" "DefaultRuntimeDir /run" "Listen 127.0.0.1:8080" \
    "LoadModule mpm_prefork_module $m/mod_mpm_prefork.so" "LoadModule authz_core_module $m/mod_authz_core.so" \
    "LoadModule cgi_module $m/mod_cgi.so" "LoadModule alias_module $m/mod_alias.so" "User www-data" "Group www-data" \
    "ErrorLog /dev/null" "DocumentRoot /srv/site" "ScriptAlias /cgi/ /srv/cgi/" "<Directory /srv>" "Require all granted" "</Directory>"
}

mkdir -p /srv/site /srv/cgi
echo hello >/srv/site/index.html
