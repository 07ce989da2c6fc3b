# environment: production
# Logs are rotated, with the package's own script afterwards.
/etc/init.d/nginx start
up 80
echo x >>/var/log/nginx/access.log
logrotate --force /etc/logrotate.d/nginx
sleep 0.5
get 80 /
