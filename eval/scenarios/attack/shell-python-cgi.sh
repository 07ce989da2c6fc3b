# environment: production
# must: webserver_shell_spawn webserver_discovery webserver_download webserver_dropped_program webserver_chain
# A CGI program below Python's own server: discovery, download, a dropped program, a second server.
printf "id; uname -a; curl -s -o /srv/drop/x file:///bin/true; chmod 755 /srv/drop/x; /srv/drop/x; timeout 3 busybox httpd -f -p 127.0.0.1:9000 -h /srv\\n" >/srv/stages.sh
mkdir -m 777 -p /srv/drop
mkdir /srv/site/cgi-bin
printf '#!/bin/sh\necho Content-type: text/plain\necho\nsh /srv/stages.sh >/dev/null 2>&1\n' >/srv/site/cgi-bin/a.sh
chmod 755 /srv/site/cgi-bin/a.sh
cd /srv/site
web 8080 python3 -m http.server --cgi --bind 127.0.0.1 8080
get 8080 /cgi-bin/a.sh
