# environment: production
# must: webserver_shell_spawn webserver_discovery webserver_download webserver_dropped_program webserver_chain
# system in a Perl server: discovery, download, a dropped program, a second server.
printf "id; uname -a; curl -s -o /srv/drop/x file:///bin/true; chmod 755 /srv/drop/x; /srv/drop/x; timeout 3 busybox httpd -f -p 127.0.0.1:9000 -h /srv\\n" >/srv/stages.sh
mkdir -m 777 -p /srv/drop
echo 'sub { system("sh /srv/stages.sh; true"); [200, [], ["x"]] }' >/srv/app.psgi
web 8080 starman --listen 127.0.0.1:8080 --workers 1 /srv/app.psgi
get 8080 /
