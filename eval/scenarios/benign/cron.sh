# environment: production
# What cron runs on a web host: its daily and weekly directories, and a job of the site.
printf '#!/bin/sh\nfind /srv/site -name "*.tmp" -delete\ntar -czf /srv/backup.tar.gz -C /srv site\nid -un\n' >/etc/cron.daily/site
chmod 755 /etc/cron.daily/site
# Its daily job of apt waits for half an hour.
rm -f /etc/cron.daily/apt-compat
nginx_with 8080 '' >/srv/nginx.conf
web 8080 nginx -c /srv/nginx.conf
for when in hourly daily weekly monthly; do run-parts "/etc/cron.$when" || true; done
