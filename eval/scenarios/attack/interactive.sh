# environment: production
# must: webserver_interactive webserver_exec
# Somebody starts a server by hand on a terminal.
printf 'timeout 3 busybox httpd -f -p 127.0.0.1:8001 -h /srv/site\nexit 0\n' | setsid script -qec 'bash --norc --noprofile -i' /dev/null
