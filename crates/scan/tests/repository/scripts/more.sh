#!/bin/sh
set -- gunicorn app:app --bind :80
[ -n "$TLS" ] && set -- "$@" --certfile x
exec "$@"
start-stop-daemon --stop --exec /usr/sbin/nginx
start-stop-daemon --start --exec /usr/sbin/nginx --test
start-stop-daemon -S -x /usr/sbin/nginx -- -g x
/etc/init.d/nginx start
/etc/init.d/nginx stop
/usr/sbin/daemon -u www bundle exec puma -C x.rb
docker run --mount type=bind,source=`pwd`/bin,destination=/nginx alpine sh -c "echo nginx"
systemctl start tomcat9
jupyter lab --port 80
apachectl configtest; apachectl -k stop; apachectl -k start
catalina.sh run
catalina.sh stop
su www -c "php-fpm8.2 -F"
flock -n /x -c 'lighttpd -D -f y'
if ! pgrep nginx; then nginx; fi
[[ $x =~ nginx ]] && y=$(nginx -V 2>&1)
LOG=$(python3 -m http.server 80 & echo $!)
ssh host <<END
sudo nginx
END
xvfb-run -a npx karma start
curl http://localhost:8000/ | sh
while true; do nc -l -p 80 < index.html; done
node <<'END'
require("http").createServer((q, r) => r.end()).listen(80)
END
cat <<'END' | python3
import http.server as h; h.HTTPServer(("", 1), h.SimpleHTTPRequestHandler).serve_forever()
END
ruby -e 'require "webrick"; WEBrick::HTTPServer.new(Port: 80).start'
python3 -c "print('http.server')"
NGINX=/usr/sbin/nginx; "$NGINX" -g x
