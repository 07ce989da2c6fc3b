# environment: production
# must: webserver_oneliner_public webserver_exec
# One-line servers on all addresses (of a network of their own).
cd /srv/site
web 8001 python3 -m http.server 8001
web 8002 php -S 0.0.0.0:8002
web 8003 busybox httpd -f -p 0.0.0.0:8003
web 8004 ruby -run -e httpd -- -p 8004 -b 0.0.0.0 .
