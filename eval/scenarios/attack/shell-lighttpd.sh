# environment: production
# must: webserver_shell_spawn webserver_discovery webserver_download webserver_dropped_program webserver_chain
# A CGI shell below lighttpd: discovery, download, a dropped program, a second server.
printf "id; uname -a; curl -s -o /srv/drop/x file:///bin/true; chmod 755 /srv/drop/x; /srv/drop/x; timeout 3 busybox httpd -f -p 127.0.0.1:9000 -h /srv\\n" >/srv/stages.sh
mkdir -m 777 -p /srv/drop
printf '#!/bin/sh\necho Content-type: text/plain\necho\nsh /srv/stages.sh >/dev/null 2>&1\n' >/srv/site/a.sh
printf 'server.document-root="/srv/site"\nserver.port=8080\nserver.bind="127.0.0.1"\nserver.modules=("mod_cgi")\ncgi.assign=(".sh"=>"/bin/sh")\n' >/srv/l.conf
web 8080 lighttpd -D -f /srv/l.conf
get 8080 /a.sh
