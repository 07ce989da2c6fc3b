# environment: production
# A new certificate, and a hook that tests the configuration and reloads nginx, as an ACME client's would.
renew() {
  openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj /CN=host-1.example -keyout /srv/key.pem -out /srv/cert.pem
}
renew
nginx_with '8443 ssl' 'ssl_certificate /srv/cert.pem; ssl_certificate_key /srv/key.pem;' >/srv/nginx.conf
web 8443 nginx -c /srv/nginx.conf
renew
openssl x509 -in /srv/cert.pem -noout -enddate
mkdir -p /srv/hooks
printf '#!/bin/sh\nset -e\nnginx -t -q -c /srv/nginx.conf\nnginx -s reload -c /srv/nginx.conf\n' >/srv/hooks/reload
chmod 755 /srv/hooks/reload
run-parts /srv/hooks
sleep 0.5
curl -sk -o /dev/null https://127.0.0.1:8443/
