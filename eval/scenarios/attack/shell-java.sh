# environment: production
# must: webserver_shell_spawn webserver_discovery webserver_download webserver_dropped_program webserver_chain
# Code in a Java server, Runtime.exec by jspawnhelper: discovery, download, a dropped program, a second server.
printf "id; uname -a; curl -s -o /srv/drop/x file:///bin/true; chmod 755 /srv/drop/x; /srv/drop/x; timeout 3 busybox httpd -f -p 127.0.0.1:9000 -h /srv\\n" >/srv/stages.sh
mkdir -m 777 -p /srv/drop
mkdir -p /srv/base/webapps/ROOT /srv/base/conf /srv/base/logs /srv/base/temp /srv/base/work
cp /etc/tomcat10/* /srv/base/conf/ 2>/dev/null || true
echo '<% Runtime.getRuntime().exec(new String[]{"sh", "/srv/stages.sh"}).waitFor(); %>x' >/srv/base/webapps/ROOT/a.jsp
CATALINA_BASE=/srv/base CATALINA_HOME=/usr/share/tomcat10 setsid /usr/share/tomcat10/bin/catalina.sh run &
up 8080
get 8080 /a.jsp
