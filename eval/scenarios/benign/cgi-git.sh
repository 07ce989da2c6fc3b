# environment: production
# A repository is served by git's own CGI program below nginx, and a push deploys by a hook.
git init -q --bare /srv/repo.git
git -C /srv/repo.git config http.receivepack true
printf '#!/bin/sh\nwhile read -r old new ref; do mkdir -p /srv/site/live; git --work-tree=/srv/site/live checkout -q -f "$new"; done\n' >/srv/repo.git/hooks/post-receive
chmod 755 /srv/repo.git/hooks/post-receive
chown -R www-data /srv/repo.git /srv/site
setsid fcgiwrap -s unix:/run/fcgi.sock &
sleep 0.5
chmod 666 /run/fcgi.sock
git config --system --add safe.directory '*'
nginx_with 8080 'location /git/ { fastcgi_pass unix:/run/fcgi.sock; fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend; fastcgi_param GIT_HTTP_EXPORT_ALL 1; fastcgi_param GIT_PROJECT_ROOT /srv; fastcgi_param REMOTE_USER dev; fastcgi_param REQUEST_METHOD $request_method; fastcgi_param QUERY_STRING $query_string; fastcgi_param CONTENT_TYPE $content_type; fastcgi_param CONTENT_LENGTH $content_length; rewrite ^/git(/.*)$ $1 break; fastcgi_param PATH_INFO $uri; }' >/srv/nginx.conf
test -x /usr/lib/git-core/git-http-backend || { mkdir -p /usr/lib/git-core; ln -s "$(git --exec-path)/git-http-backend" /usr/lib/git-core/; }
web 8080 nginx -c /srv/nginx.conf
git clone -q http://127.0.0.1:8080/git/repo.git /srv/work
cd /srv/work
echo a >a
git add a
git -c user.name=d -c user.email=d@host-1.example commit -q -m a
git push -q origin HEAD:refs/heads/main
