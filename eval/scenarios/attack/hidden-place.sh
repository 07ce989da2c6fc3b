# environment: production
# must: webserver_unusual_place webserver_exec
# Servers from /tmp and from hidden directories.
mkdir -p /opt/.cache-data /tmp/.x
cp /usr/sbin/lighttpd /opt/.cache-data/lighttpd
cp /usr/bin/caddy /tmp/.x/caddy
printf 'server.document-root="/srv/site"\nserver.port=8081\n' >/srv/b.conf
web 8081 /opt/.cache-data/lighttpd -D -f /srv/b.conf
web 8082 /tmp/.x/caddy file-server --listen 127.0.0.1:8082
