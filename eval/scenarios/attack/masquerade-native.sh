# environment: production
# must: webserver_masquerade webserver_exec
# Servers under names of the system's own programs.
mkdir -p /opt/tools
cp /usr/sbin/nginx /opt/tools/kworker
cp /usr/sbin/lighttpd /opt/tools/irqbalance
cp /usr/bin/caddy /opt/tools/rsyslogd
nginx_with 8080 '' >/srv/a.conf
web 8080 /opt/tools/kworker -c /srv/a.conf
printf 'server.document-root="/srv/site"\nserver.port=8081\n' >/srv/b.conf
web 8081 /opt/tools/irqbalance -D -f /srv/b.conf
web 8082 /opt/tools/rsyslogd file-server --listen 127.0.0.1:8082
