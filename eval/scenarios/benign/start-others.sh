# environment: production
# Several servers, each as its documentation starts it.
web 8001 webfsd -F -p 8001 -r /srv/site
web 8002 mini_httpd -D -p 8002 -d /srv/site
printf 'frontend f\n mode http\n bind 127.0.0.1:8003\n timeout client 5s\n default_backend b\nbackend b\n mode http\n timeout connect 5s\n timeout server 5s\n server s 127.0.0.1:8001\n' >/srv/haproxy.cfg
haproxy -c -f /srv/haproxy.cfg
web 8003 haproxy -db -f /srv/haproxy.cfg
printf 'app = lambda e, s: (s("200 OK", []), [b"x"])[1]\n' >/srv/app.py
web 8004 uwsgi --plugin python3 --http-socket 127.0.0.1:8004 --chdir /srv --module app --callable app
for p in 8001 8002 8003 8004; do get "$p" /; done
