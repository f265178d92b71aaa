"""A server of DAGsHub's shape: basic auth, POST and PUT, 401 without a token, 400 above a size, 302 to another host on GET.

Also plain HTTP: `auth=None`, a custom header, HEAD refused, chunked bodies. The second listener stands for the host that
the redirect leads to; it records whether credentials came along, which must not happen.
"""
import base64
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def handle(self):
        try:
            super().handle()
        except (ConnectionError, BrokenPipeError):
            pass

    @property
    def o(self):
        return self.server.owner

    def say(self, status, body=b"", **headers):
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k.replace("_", "-"), v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            out = b""
            while True:
                n = int(self.rfile.readline().split(b";")[0], 16)
                chunk = self.rfile.read(n)
                self.rfile.readline()
                if not n:
                    return out
                out += chunk
        length = int(self.headers.get("Content-Length", 0))
        data = self.rfile.read(length)
        return data if len(data) == length else None

    def allowed(self):
        if self.server is self.o.other:
            return True
        if self.o.header:
            return self.headers.get(self.o.header[0]) == self.o.header[1]
        if not self.o.auth:
            return True
        want = "Basic " + base64.b64encode(":".join(self.o.auth).encode()).decode()
        return self.headers.get("Authorization") == want

    def path_of(self):
        return os.path.join(self.o.root, self.path.split("?")[0].lstrip("/"))

    def read(self):
        self.o.seen.append((self.command, self.path, dict(self.headers), self.server is self.o.other))
        if not self.allowed():
            return self.say(401, b"no", WWW_Authenticate="Basic")
        if self.o.deny and re.search(self.o.deny, self.path):
            return self.say(403, b"denied")
        if self.command == "HEAD" and self.o.no_head:
            return self.say(405)
        p = self.path_of()
        if not os.path.isfile(p):
            return self.say(404, b"absent")
        if self.o.redirect and self.command == "GET" and self.server is not self.o.other:
            return self.say(302, Location=f"http://127.0.0.1:{self.o.other.server_port}{self.path}")
        with open(p, "rb") as f:
            data = f.read()
        r = self.headers.get("Range")
        if r and r.startswith("bytes="):
            a, _, b = r[6:].partition("-")
            a, b = int(a), min(int(b) if b else len(data) - 1, len(data) - 1)
            if a >= len(data):
                return self.say(416, Content_Range=f"bytes */{len(data)}")
            return self.say(206, data[a:b + 1], Content_Range=f"bytes {a}-{b}/{len(data)}")
        self.say(200, data)

    def write(self):
        self.o.seen.append((self.command, self.path, dict(self.headers), self.server is self.o.other))
        data = self.body()
        if data is None:        # cut: as nginx, nothing is named, least of all after the next attempt was
            self.close_connection = True
            return None
        if not self.allowed():
            return self.say(401, b"no", WWW_Authenticate="Basic")
        if self.o.methods and self.command not in self.o.methods:
            return self.say(405)
        if self.o.limit and len(data) > self.o.limit:
            return self.say(400, b"too large")
        if self.o.lose:
            return self.say(200)
        p = self.path_of()
        os.makedirs(os.path.dirname(p), exist_ok=True)
        with open(p + ".new", "wb") as f:
            f.write(data)
        os.rename(p + ".new", p)
        self.say(201)

    def propfind(self):
        self.o.seen.append((self.command, self.path, dict(self.headers), self.server is self.o.other))
        self.body()
        self.say(404 if self.allowed() else 401)

    def remove(self):
        self.o.seen.append((self.command, self.path, dict(self.headers), self.server is self.o.other))
        if not self.allowed():
            return self.say(401, b"no", WWW_Authenticate="Basic")
        there = os.path.isfile(self.path_of())
        if there:
            os.unlink(self.path_of())
        self.say(204 if there else 404)

    do_DELETE = remove
    do_GET = do_HEAD = read
    do_PROPFIND = propfind
    do_POST = do_PUT = write


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class DagsHub:
    def __init__(self, root, auth=("user", "token"), header=None, limit=0, redirect=True, methods=(), no_head=False):
        self.root, self.auth, self.header, self.limit = str(root), auth, header, limit
        self.redirect, self.methods, self.no_head, self.lose = redirect, methods, no_head, False
        self.seen, self.deny = [], None         # paths that nobody may read
        os.makedirs(self.root, exist_ok=True)
        self.main, self.other = Server(("127.0.0.1", 0), Handler), Server(("127.0.0.1", 0), Handler)
        for s in (self.main, self.other):
            s.owner = self
            threading.Thread(target=s.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.main.server_port}/user/repo.dvc"

    def stop(self):
        for s in (self.main, self.other):
            s.shutdown()
            s.server_close()


if __name__ == "__main__":
    import sys
    import time
    d = DagsHub(sys.argv[1])
    print(d.url, flush=True)
    time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 3600)
