# environment: production
# A PHP site without helpers.
echo '<?php echo phpversion();' >/srv/site/a.php
fpm
nginx_with 8080 "$php_site" >/srv/nginx.conf
web 8080 nginx -c /srv/nginx.conf
for _ in 1 2 3; do get 8080 /a.php; done
