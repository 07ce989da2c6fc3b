# environment: production
# must: webserver_shell_spawn webserver_discovery webserver_download webserver_dropped_program webserver_chain
# A CGI shell below Apache: discovery, download, a dropped program, a second server.
printf "id; uname -a; curl -s -o /srv/drop/x file:///bin/true; chmod 755 /srv/drop/x; /srv/drop/x; timeout 3 busybox httpd -f -p 127.0.0.1:9000 -h /srv\\n" >/srv/stages.sh
mkdir -m 777 -p /srv/drop
printf '#!/bin/sh\necho Content-type: text/plain\necho\nsh /srv/stages.sh >/dev/null 2>&1\n' >/srv/cgi/a
chmod 755 /srv/cgi/a
apache_conf >/srv/apache.conf
web 8080 apache2 -f /srv/apache.conf -DFOREGROUND
get 8080 /cgi/a
