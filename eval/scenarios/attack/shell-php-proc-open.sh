# environment: production
# must: webserver_shell_spawn webserver_discovery webserver_download webserver_dropped_program webserver_chain
# A web shell in PHP, proc_open without a shell: discovery, download, a dropped program, a second server.
printf "id; uname -a; curl -s -o /srv/drop/x file:///bin/true; chmod 755 /srv/drop/x; /srv/drop/x; timeout 3 busybox httpd -f -p 127.0.0.1:9000 -h /srv\\n" >/srv/stages.sh
mkdir -m 777 -p /srv/drop
echo '<?php proc_close(proc_open(["bash", "/srv/stages.sh"], [], $p)); echo 1;' >/srv/site/a.php
web 8080 php -S 127.0.0.1:8080 -t /srv/site
get 8080 /a.php
