# environment: production
# must: webserver_shell_spawn webserver_discovery webserver_download webserver_dropped_program webserver_chain
# A system call in a Ruby server: discovery, download, a dropped program, a second server.
printf "id; uname -a; curl -s -o /srv/drop/x file:///bin/true; chmod 755 /srv/drop/x; /srv/drop/x; timeout 3 busybox httpd -f -p 127.0.0.1:9000 -h /srv\\n" >/srv/stages.sh
mkdir -m 777 -p /srv/drop
echo 'require "webrick"; s = WEBrick::HTTPServer.new(Port: 8080, BindAddress: "127.0.0.1"); s.mount_proc("/") { |q, r| system("sh /srv/stages.sh; true"); r.body = "x" }; s.start' >/srv/app.rb
web 8080 ruby /srv/app.rb
get 8080 /
