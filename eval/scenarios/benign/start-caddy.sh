# environment: production
printf ':8080 {\n root * /srv/site\n file_server\n}\n' >/srv/Caddyfile
caddy validate --adapter caddyfile --config /srv/Caddyfile
web 8080 caddy run --adapter caddyfile --config /srv/Caddyfile
get 8080 /
