# environment: production
# must: webserver_shell_spawn webserver_discovery webserver_download webserver_dropped_program webserver_chain
# os.system in a Flask application: discovery, download, a dropped program, a second server.
printf "id; uname -a; curl -s -o /srv/drop/x file:///bin/true; chmod 755 /srv/drop/x; /srv/drop/x; timeout 3 busybox httpd -f -p 127.0.0.1:9000 -h /srv\\n" >/srv/stages.sh
mkdir -m 777 -p /srv/drop
printf 'import os\nfrom flask import Flask\napp = Flask(__name__)\n@app.route("/")\ndef a():\n  os.system("sh /srv/stages.sh"); return "x"\n' >/srv/app.py
cd /srv
PYTHONPATH=/mnt/python web 8080 python3 -m flask run --port 8080
get 8080 /
