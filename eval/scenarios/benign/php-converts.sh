# environment: production
# A PHP application has pictures and films converted, with a shell (exec) and without. The converter stands
# in for ffmpeg: what counts is who calls it and how.
mkdir -p /usr/local/bin
printf '#!/bin/sh\nexec cp "$2" "$3"\n' >/usr/local/bin/ffmpeg
chmod 755 /usr/local/bin/ffmpeg
echo film >/srv/film
cat >/srv/site/a.php <<'END'
<?php exec('/usr/local/bin/ffmpeg -i /srv/film /dev/null');
proc_close(proc_open(['/usr/local/bin/ffmpeg', '-i', '/srv/film', '/dev/null'], [], $p)); echo 'x';
END
fpm
nginx_with 8080 "$php_site" >/srv/nginx.conf
web 8080 nginx -c /srv/nginx.conf
for _ in {1..10}; do get 8080 /a.php; done
