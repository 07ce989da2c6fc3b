# environment: production
# lighttpd as its package starts it: the configuration calls a Perl script.
lighttpd -tt -f /etc/lighttpd/lighttpd.conf
web 80 lighttpd -D -f /etc/lighttpd/lighttpd.conf
get 80 / || true
