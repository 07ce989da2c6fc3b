# environment: production
# must: webserver_unknown
# An implant that nobody knows answers HTTP.
cat >/srv/agent.py <<'END'
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 8001))
s.listen()
while True:
    c, _ = s.accept()
    c.recv(999)
    c.send(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
    c.close()
END
web 8001 python3 /srv/agent.py
get 8001 /
sleep 1
get 8001 /
sleep 1
