# environment: production
printf 'run proc { |e| [200, {}, ["x"]] }\n' >/srv/config.ru
web 8006 puma -b tcp://127.0.0.1:8006 /srv/config.ru
printf 'sub { [200, [], ["x"]] }\n' >/srv/app.psgi
web 8007 starman --listen 127.0.0.1:8007 --workers 1 /srv/app.psgi
get 8006 /
get 8007 /
