# environment: production
# must: webserver_shell_spawn webserver_discovery webserver_download webserver_dropped_program webserver_chain
# A double fork and a session of its own, whose parents are gone: discovery, download, a dropped program, a second server.
printf "id; uname -a; curl -s -o /srv/drop/x file:///bin/true; chmod 755 /srv/drop/x; /srv/drop/x; timeout 3 busybox httpd -f -p 127.0.0.1:9000 -h /srv\\n" >/srv/stages.sh
mkdir -m 777 -p /srv/drop
echo '<?php exec("(setsid sh -c \"sleep 0.5; sh /srv/stages.sh\" >/dev/null 2>&1 &) &"); echo 1;' >/srv/site/a.php
fpm
nginx_with 8080 "$php_site" >/srv/nginx.conf
web 8080 nginx -c /srv/nginx.conf
get 8080 /a.php
sleep 5
