# environment: production
# Apache is started, changed, tested, and started anew gracefully (what `apachectl graceful` does).
apache_conf >/srv/apache.conf
apache2 -t -f /srv/apache.conf
apache2 -k start -f /srv/apache.conf
up 8080
get 8080 /index.html
apache2 -t -f /srv/apache.conf
apache2 -k graceful -f /srv/apache.conf
sleep 1
get 8080 /index.html
apache2 -k stop -f /srv/apache.conf
