# environment: production
# Checks beside a server, as monitoring does them.
nginx_with 8080 '' >/srv/nginx.conf
web 8080 nginx -c /srv/nginx.conf
for _ in {1..30}; do
  curl -fsS -o /dev/null http://127.0.0.1:8080/
  wget -q -O /dev/null http://127.0.0.1:8080/
  pgrep -x nginx >/dev/null
  ps -o pid= -C nginx >/dev/null
  ss -ltn >/dev/null
  df / >/dev/null
  nginx -t -q -c /srv/nginx.conf
done
