# environment: production
# must: webserver_shell_spawn webserver_discovery webserver_download webserver_dropped_program webserver_chain
# A CGI shell behind nginx and fcgiwrap: discovery, download, a dropped program, a second server.
printf "id; uname -a; curl -s -o /srv/drop/x file:///bin/true; chmod 755 /srv/drop/x; /srv/drop/x; timeout 3 busybox httpd -f -p 127.0.0.1:9000 -h /srv\\n" >/srv/stages.sh
mkdir -m 777 -p /srv/drop
printf '#!/bin/sh\necho Content-type: text/plain\necho\nsh /srv/stages.sh >/dev/null 2>&1\n' >/srv/cgi/a
chmod 755 /srv/cgi/a
setsid fcgiwrap -s unix:/run/fcgi.sock &
sleep 0.5
chmod 666 /run/fcgi.sock
nginx_with 8080 'location / { fastcgi_pass unix:/run/fcgi.sock; fastcgi_param SCRIPT_FILENAME /srv/cgi/a; fastcgi_param REQUEST_METHOD GET; }' >/srv/nginx.conf
web 8080 nginx -c /srv/nginx.conf
get 8080 /
