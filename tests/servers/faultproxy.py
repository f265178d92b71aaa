"""A reverse proxy between the tool and a real server that cuts, drops, delays and lies on demand.

    with FaultProxy("127.0.0.1", 9000) as p:
        p.fault(do="status", status=503, method="PUT", times=2)
        ... http://127.0.0.1:{p.port} ...
        p.seen      # [(method, path), ...]

A fault applies to the first `times` requests after `skip` whose method and path (regular expressions) match, or to every
`every`-th of them, or to each with the probability `rate`; with `having` only to requests with that header. `do` is one of:
  status   answers `status` itself (header Retry-After: `retry_after` when given), with `body` or an S3 error of `code`
  drop     closes the connection without an answer
  lost     lets the server do what is asked, then closes without its answer
  cut      closes it after `after` bytes of the answer's body
  cut_up   reads `after` bytes of the request's body, then closes
  delay    waits `seconds`, then goes on
  stall    sends the head and half of the body, then nothing for `seconds`
  drip     sends the answer byte by byte, `seconds` between two
  drip_up  takes the request's body byte by byte
  flip     flips one bit in the middle of the answer's body
  short    says Content-Length is smaller by one and sends the body cut to it
  nolength sends the body without a length, cut in the middle, and closes
  etag     replaces the ETag by a wrong one
  truncate cuts the document of a listing in the middle, but says the full truth in Content-Length
  range    answers a Range question with the whole body and 200
"""
import http.client
import random
import re
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection"}


class Fault:
    def __init__(self, do, method=".*", path=".*", times=1, every=0, rate=0.0, skip=0, dice=None, having=None, **arg):
        self.do, self.times, self.every, self.arg, self.count, self.hits = do, times, every, arg, 0, 0
        self.rate, self.dice, self.skip, self.having = rate, dice, skip, having
        self.method, self.path = re.compile(method), re.compile(path)

    def takes(self, method, path):
        if not (self.method.fullmatch(method) and self.path.search(path)):
            return False
        self.count += 1
        if self.rate:
            hit = self.dice.random() < self.rate
        elif self.every:
            hit = self.count % self.every == 0
        else:
            hit = self.hits < self.times and self.count > self.skip
        self.hits += hit
        return hit


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *a):
        pass

    def _drop(self):
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _send(self, status, headers, body, length=None, close=False, no_length=False):
        self.send_response_only(status)
        for k, v in headers:
            if k.lower() not in HOP and k.lower() != "content-length":
                self.send_header(k, v)
        if not no_length:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        if close:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.server.owner.sent += len(body)
            self.wfile.write(body)

    def _drip(self, status, headers, data, seconds):
        try:
            self._send(status, headers, b"", length=len(data))
            for i in range(len(data)):
                self.wfile.write(data[i:i + 1])
                self.wfile.flush()
                time.sleep(seconds)
        except OSError:
            self._drop()

    def _drip_up(self, size, seconds):
        """A receive buffer that is as good as full."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        try:
            while size and self.rfile.read(1):
                size -= 1
                time.sleep(seconds)
        except OSError:
            pass
        self._drop()

    def _forward(self, body):
        host, port = self.server.backend
        headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP}
        for attempt in range(2):
            conn = getattr(self, "_conn", None)
            if conn is None:
                conn = self._conn = self.server.connect(host, port)
            try:
                conn.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for k, v in headers.items():
                    conn.putheader(k, v)
                conn.endheaders(body if body else None)
                r = conn.getresponse()
                return r.status, r.getheaders(), r.read()
            except (http.client.HTTPException, OSError):
                conn.close()
                self._conn = None
                if attempt:
                    raise

    def handle_any(self):
        owner = self.server.owner
        fault = owner.pick(self.command, self.path, self.headers)
        if self.command == "GET":
            owner.ranges.append(self.headers.get("Range", ""))
        do = fault.do if fault else None
        size = int(self.headers.get("Content-Length") or 0)
        if owner.latency:
            time.sleep(owner.latency)
        if do == "drop":
            return self._drop()
        if do == "cut_up":
            self.rfile.read(min(size, fault.arg.get("after", 0)))
            return self._drop()
        if do == "drip_up":
            return self._drip_up(size, fault.arg.get("seconds", 0.1))
        body = self.rfile.read(size) if size else b""
        owner.received += len(body)
        if do == "status":
            head = [("Retry-After", str(fault.arg["retry_after"]))] if "retry_after" in fault.arg else []
            code = fault.arg.get("code", "SlowDown")
            doc = fault.arg.get("body") or f"<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>by the proxy</Message></Error>".encode()
            return self._send(fault.arg.get("status", 503), head + fault.arg.get("headers", []), doc)
        if do == "delay":
            time.sleep(fault.arg.get("seconds", 1))
        if do == "range" and self.headers.get("Range"):
            del self.headers["Range"]
        try:
            status, headers, data = self._forward(body)
        except (http.client.HTTPException, OSError):
            return self._drop()
        if do == "lost":
            return self._drop()
        self._answer(fault, do, status, headers, data)

    def _answer(self, fault, do, status, headers, data):
        length = next((int(v) for k, v in headers if k.lower() == "content-length"), len(data))
        if self.command == "HEAD":
            return self._send(status, headers, b"", length=length)
        if do == "cut":
            self._send(status, headers, data[:fault.arg.get("after", len(data) // 2)], length=len(data))
            self.wfile.flush()
            return self._drop()
        if do == "stall":
            self._send(status, headers, data[:len(data) // 2], length=len(data))
            self.wfile.flush()
            time.sleep(fault.arg.get("seconds", 5))
            return self._drop()
        if do == "drip":
            return self._drip(status, headers, data, fault.arg.get("seconds", 0.1))
        if do == "flip" and data:
            at = len(data) // 2
            data = data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
        if do == "short" and data:
            data = data[:-1]
        if do == "nolength":
            self._send(status, headers, data[:len(data) // 2], close=True, no_length=True)
            return None
        if do == "etag":
            headers = [(k, '"00000000000000000000000000000000"' if k.lower() == "etag" else v) for k, v in headers]
        if do == "truncate":
            data = data[:len(data) * 2 // 3]
        return self._send(status, headers, data)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_MKCOL = do_MOVE = do_PROPFIND = do_PATCH = do_OPTIONS = handle_any


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        pass


class FaultProxy:
    """tls: the server speaks it; the proxy itself never does."""

    def __init__(self, host, port, seed=1, tls=False):
        self.backend, self.tls = (host, port), tls
        self.faults, self.seen, self.lock = [], [], threading.Lock()
        self.ranges = []                # of GET requests, "" where none was asked for
        self.latency = 0.0
        self.sent = self.received = 0   # bytes of bodies: answers, requests
        self.random = random.Random(seed)

    def fault(self, do, **kw):
        f = Fault(do, dice=self.random, **kw)
        with self.lock:
            self.faults.append(f)
        return f

    def clear(self):
        with self.lock:
            self.faults, self.seen, self.ranges = [], [], []

    def pick(self, method, path, headers=()):
        with self.lock:
            self.seen.append((method, path))
            return next((f for f in self.faults if (not f.having or f.having in headers) and f.takes(method, path)), None)

    def connect(self, host, port):
        if self.tls:
            return http.client.HTTPSConnection(host, port, timeout=120, context=ssl._create_unverified_context())
        return http.client.HTTPConnection(host, port, timeout=120)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.owner, self.server.backend, self.server.connect = self, self.backend, self.connect
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *a):
        self.server.shutdown()
        self.server.server_close()
