# environment: production
# nginx starts its own successor (USR2), and the old one ends.
nginx_with 8080 '' >/srv/nginx.conf
web 8080 /usr/sbin/nginx -c /srv/nginx.conf
old=$(cat /run/nginx.pid)
kill -USR2 "$old"
sleep 1
kill -QUIT "$old"
sleep 0.5
get 8080 /
