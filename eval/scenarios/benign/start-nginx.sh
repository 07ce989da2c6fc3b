# environment: production
# nginx is tested, started by its service script, asked, reloaded, stopped.
nginx -t
/etc/init.d/nginx start
up 80
get 80 /
/etc/init.d/nginx reload
sleep 0.5
get 80 /
/etc/init.d/nginx stop
