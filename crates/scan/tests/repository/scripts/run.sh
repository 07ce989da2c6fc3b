#!/bin/bash
# python3 -m http.server
set -euo pipefail
serve() { echo nginx; }
serve
PY=$(command -v python3)
echo python3 -m http.server
printf 'nginx\n' > start.txt
cat > server.conf <<EOF
nginx -g 'daemon off;'
$(nginx -v)
EOF
"$PY" -m http.server 8000 &
python3 - <<'EOF'
import http.server as h
h.HTTPServer(("", 1), h.SimpleHTTPRequestHandler).serve_forever()
EOF
bash -lc "cd /srv && exec nginx -g 'daemon off;'"
sudo sh <<EOF
lighttpd -D -f /x
EOF
ssh -p 22 host 'sudo systemctl restart nginx'
case "$1" in
  start) start-stop-daemon --start --exec /usr/sbin/nginx ;;
  test) nginx -t ;;
esac
for s in apache2 nginx; do sudo service "$s" start; done
trap 'kill $!' EXIT
CMD=(php -S localhost:80); "${CMD[@]}" &
docker run -d --network host -v "$PWD:/x" -e A=1 nginx:alpine nginx-debug -g 'daemon off;'
docker run --rm nginx nginx -t
docker run -it --entrypoint bash nginx
docker exec web nginx -s reload
docker exec -it web nginx
kubectl run web --image=nginx
eval "caddy run"
exec -a x busybox httpd -f
socat TCP-LISTEN:80,fork SYSTEM:'echo'
nc -l 80
openssl s_server -WWW -accept 443
alias serve2=nginx
x="nginx"; [ "$x" = nginx ] && echo nginx | grep nginx
echo "lighttpd -D" | sh
nginx -s reload; pkill nginx; which nginx; apt-get install nginx; man nginx
