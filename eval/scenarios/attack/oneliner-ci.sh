# environment: ci
# must: webserver_oneliner_public webserver_exec
# A dependency's install script serves the checkout.
printf '#!/bin/sh\npython3 -m http.server 8001 >/dev/null 2>&1 &\n' >/srv/postinstall
chmod 755 /srv/postinstall
/srv/postinstall
up 8001
