# environment: ci
# A pipeline starts the server under test and asks it, on loopback.
printf 'from flask import Flask\napp = Flask(__name__)\n@app.route("/")\ndef a(): return "x"\n' >/srv/app.py
cd /srv
PYTHONPATH=/mnt/python web 5000 python3 -m flask run
get 5000 /
web 8000 python3 -m http.server --bind 127.0.0.1 8000
get 8000 /
