# environment: production
# must: webserver_unusual_place webserver_exec
# A server that exists in memory only.
nginx_with 8080 '' >/srv/a.conf
setsid python3 -c 'import os
fd = os.memfd_create("x", 0)
os.write(fd, open("/usr/sbin/nginx", "rb").read())
os.execv(f"/proc/self/fd/{fd}", ["kworker", "-c", "/srv/a.conf"])' &
up 8080
