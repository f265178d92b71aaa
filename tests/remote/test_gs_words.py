"""Google Cloud Storage's words that fake-gcs-server does not say: what a missing object is called, sessions that do not go on,
listings without an end. A service of a few lines says them."""
import hashlib
import json
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import places
import pytest
from test_contract import key_of


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def say(self, status, body=b"", **headers):
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def absent(self, what):
        self.say(404, json.dumps({"error": {"code": 404, "message": what, "errors": [{"reason": "notFound"}]}}).encode())

    def do_GET(self):
        s, u = self.server, urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(u.query)
        if m := re.fullmatch(r"(?:/download)?/storage/v1/b/my-bucket/o/(.+)", u.path):
            name = urllib.parse.unquote(m[1])
            if name not in s.objects:
                return self.absent(f"No such object: my-bucket/{name}")
            data = s.objects[name]
            return self.say(200, data if "alt" in query else json.dumps({"size": str(len(data)), "etag": "E"}).encode())
        if "/b/my-bucket/" not in u.path:
            return self.absent("The specified bucket does not exist.")
        s.pages += 1
        page = {"items": [{"name": n, "size": str(len(d))} for n, d in s.objects.items()]}
        if s.endless:
            page["nextPageToken"] = "again"
        self.say(200, json.dumps(page).encode())

    def do_POST(self):
        s, q = self.server, urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if "/b/my-bucket/" not in self.path:
            return self.absent("The specified bucket does not exist.")
        if q["uploadType"] == ["resumable"]:
            return self.say(200, Location=f"http://127.0.0.1:{s.server_address[1]}/session")
        s.objects[q["name"][0]] = data
        self.say(200, b"{}")

    def do_PUT(self):
        n = int(self.headers["Content-Length"])
        while n:
            n -= len(self.rfile.read(min(n, 1 << 20)))
        self.server.puts.append(self.headers["Content-Range"])
        if len(self.server.puts) < 4:
            return self.say(308, Range="bytes=0-99")
        self.say(200, b"{}")


@pytest.fixture
def gs():
    s = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    s.daemon_threads = True
    s.objects, s.endless, s.pages, s.puts = {}, False, 0, []
    threading.Thread(target=s.serve_forever, daemon=True).start()
    yield s
    s.shutdown()
    s.server_close()


def ready(make_repo, gs, files, bucket="my-bucket"):
    r = make_repo()
    r.env["NO_GCE_CHECK"] = "true"
    return places.fill(r, f"gs://{bucket}/x", files, {"endpointurl": f"http://127.0.0.1:{gs.server_address[1]}",
                                                     "allow_anonymous_login": "true"})


def test_an_object_that_is_missing_is_no_missing_bucket(make_repo, gs):
    files = {f"f{i}": f"{i}\n".encode() for i in range(5)}
    r = ready(make_repo, gs, files)
    r.gd("push")
    assert len(gs.objects) == 5
    del gs.objects["x/" + key_of(files["f0"])]
    r.rm(".dvc/cache")
    p = r.gd("fetch", code=None)
    assert len(r.cache()) == 4 and "bucket" not in p.err
    assert r.gd("push").out == "Everything is up to date.\n"


def test_a_missing_bucket_stops_the_run(make_repo, gs):
    r = ready(make_repo, gs, {"f": b"1"}, bucket="other")
    p = r.gd("push", code=None)
    assert p.code and "buckets create" in p.err


def test_a_session_that_does_not_go_on_is_tried_again_later(make_repo, gs):
    size = 34 << 20
    r = ready(make_repo, gs, {"f": b"1" * size})
    r.gd("push")
    rest = f"bytes 100-{size - 1}/{size}"
    assert gs.puts == [f"bytes 0-{size - 1}/{size}", rest, f"bytes */{size}", rest]


def test_a_listing_without_an_end_is_an_error(make_repo, gs):
    gs.endless = True
    r = ready(make_repo, gs, {"f": b"1"})
    gs.objects["x/files/md5/00/0"] = b""
    p = r.gd("gc", "-w", "-c", "-f", code=None)
    assert p.code and "does not go on" in p.err and gs.pages < 10
