"""A server whose answers come at once sends a large object whole; only when that is slow are there ranges.

The server is S3 as far as GET goes: it reads the objects of a cache, whatever the signature says.
"""
import http.server
import os
import threading
import time
import urllib.parse

import pytest

SMALL = 200             # their answers tell that the server is near: one in less than 5 ms is enough
HELD = 8 << 20          # what it sends of the large object before it holds its breath
MB = 1 << 20


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        s = self.server
        at = urllib.parse.urlsplit(self.path)           # of a proxy the whole URL is asked for
        s.hosts.add(at.hostname)
        data = (s.cache / at.path.removeprefix("/b/p/files/")).read_bytes()
        asked = self.headers.get("Range")
        first, last = (int(n) for n in asked.split("=")[1].split("-")) if asked else (0, len(data) - 1)
        large = len(data) > HELD
        with s.lock:
            if large:
                s.ranges.append(asked)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(last + 1 - first))
        self.send_header("ETag", '"x"')
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.end_headers()
        if large and not asked:
            self.wfile.write(data[:HELD])
            time.sleep(s.held)
            s.meanwhile = len(s.ranges) - 1
            first = HELD
        self.wfile.write(data[first:last + 1])

    def log_message(self, *_):
        pass


@pytest.fixture
def near(make_repo):
    """A repository whose objects are on such a server and nowhere else."""
    r = make_repo()
    r.body = os.urandom(40 * MB + 17)
    for i in range(SMALL):
        r.write(f"d/{i:03}", f"file {i}\n".encode())
    r.write("d/z", r.body)
    r.gd("add", "d")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as s:
        s.cache, s.lock, s.ranges, s.held, s.meanwhile = r.path / "objects", threading.Lock(), [], 0, None
        s.hosts = set()
        (r.path / ".dvc/cache/files").rename(s.cache)
        threading.Thread(target=s.serve_forever, daemon=True).start()
        r.gd("remote", "add", "-d", "r", "s3://b/p")
        for k, v in (("endpointurl", f"http://127.0.0.1:{s.server_port}"), ("access_key_id", "k"), ("secret_access_key", "s"),
                     ("region", "us-east-1"), ("jobs", "4")):
            r.gd("remote", "modify", "r", k, v)
        r.rm("d")
        r.server = s
        yield r
        s.shutdown()


def test_a_near_server_sends_a_large_object_whole_unless_that_is_slow(near):
    near.server.held = 0.5
    near.gd("pull")
    assert near.read("d/z") == near.body and len(near.cache()) == SMALL + 2
    assert near.server.meanwhile == 0, "others had begun"
    assert near.server.ranges[0] is None and sorted(near.server.ranges[1:]) == [
        f"bytes={16 * MB}-{32 * MB - 1}", f"bytes={32 * MB}-{len(near.body) - 1}"]


@pytest.mark.parametrize("name", ["http_proxy", "all_proxy", "ALL_PROXY"])
def test_the_proxy_of_the_environment_is_asked(near, name):
    near.gd("remote", "modify", "r", "endpointurl", "http://storage.invalid:81")
    near.gd("fetch", env={name: f"http://127.0.0.1:{near.server.server_port}"})
    assert len(near.cache()) == SMALL + 2
    assert near.server.hosts == {"storage.invalid"}


def test_no_proxy_where_the_environment_excepts_the_host(near):
    near.gd("fetch", env={"http_proxy": "http://127.0.0.1:9", "no_proxy": "127.0.0.1"})
    assert len(near.cache()) == SMALL + 2
    assert near.server.hosts == {None}


@pytest.mark.parametrize("jobs", [1, 2])
def test_digests_that_wait_for_each_other_hold_nobody_up(near, jobs):
    """Fewer may be on their way than digests go together; one object is broken, which is told of that one alone."""
    near.gd("remote", "modify", "r", "jobs", str(jobs))
    bad = next(p for p in sorted(near.server.cache.rglob("*")) if p.is_file() and p.stat().st_size < 100)
    bad.chmod(0o644)
    bad.write_bytes(b"F" + bad.read_bytes()[1:])
    said = near.gd("fetch", code=1)
    assert "does not match its name" in said.err and bad.parent.name + bad.name in said.err.replace("/", "")
    assert len(near.cache()) == SMALL       # neither that one nor the manifest
