# environment: production
# A push over a local path deploys by a hook, which reloads the server.
nginx_with 8080 '' >/srv/nginx.conf
web 8080 nginx -c /srv/nginx.conf
git init -q --bare /srv/repo.git
printf '#!/bin/sh\nset -e\nread -r old new ref\ngit --work-tree=/srv/site checkout -q -f "$new"\nnginx -t -q -c /srv/nginx.conf\nnginx -s reload -c /srv/nginx.conf\n' >/srv/repo.git/hooks/post-receive
chmod 755 /srv/repo.git/hooks/post-receive
git clone -q /srv/repo.git /srv/work
cd /srv/work
echo a >index.html
git add .
git -c user.name=d -c user.email=d@host-1.example commit -q -m a
git push -q origin HEAD:refs/heads/main
sleep 0.5
get 8080 /
