# environment: production
# must: webserver_shell_spawn webserver_discovery webserver_download webserver_dropped_program webserver_chain
# child_process.exec in Node: discovery, download, a dropped program, a second server.
printf "id; uname -a; curl -s -o /srv/drop/x file:///bin/true; chmod 755 /srv/drop/x; /srv/drop/x; timeout 3 busybox httpd -f -p 127.0.0.1:9000 -h /srv\\n" >/srv/stages.sh
mkdir -m 777 -p /srv/drop
echo 'require("http").createServer((q, r) => require("child_process").exec("sh /srv/stages.sh", () => r.end("x"))).listen(8080, "127.0.0.1")' >/srv/app.js
web 8080 node /srv/app.js
get 8080 /
