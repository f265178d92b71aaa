"""A file that changes on its server while it is read, and answers that are not what was asked for: what arrives is one version
of it, whole, or nothing."""
import gzip
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import places
import pytest
from servers.relay import Relay

OLD, NEW, LONGER = b"o" * 300_000, b"n" * 300_000, b"l" * 400_000


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, get):
        s = self.server
        data, tag = s.versions[min(s.n, len(s.versions) - 1)]
        at, want = 0, self.headers.get("Range")
        body = gzip.compress(data) if s.packed else data
        if want and get and not s.no_range:
            at = int(want[6:].split("-")[0])
        end = min(len(body), at + s.at_most) if s.at_most else len(body)
        partial = at or end < len(body)
        self.send_response(206 if partial else 200)
        if partial:
            self.send_header("Content-Range", f"bytes {at}-{end - 1}/{len(body)}")
        if tag:
            self.send_header("ETag", tag)
        if s.packed:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(end - at))
        self.end_headers()
        if not get:
            return
        s.gets.append(at)
        if s.n < s.cuts:
            s.n += 1
            self.wfile.write(body[at:at + (end - at) // 3])
            self.wfile.flush()
            self.close_connection = True
            return
        self.wfile.write(body[at:end])


@pytest.fixture
def serve():
    made = []

    def make(*versions, cuts=1, packed=False, at_most=0, no_range=False):
        s = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        s.daemon_threads = True
        s.versions, s.cuts, s.packed, s.at_most, s.no_range, s.n, s.gets = versions, cuts, packed, at_most, no_range, 0, []
        threading.Thread(target=s.serve_forever, daemon=True).start()
        made.append(s)
        s.url = f"http://127.0.0.1:{s.server_address[1]}/dir/file"
        return s
    yield make
    for s in made:
        s.shutdown()
        s.server_close()


def got(repo, s):
    repo.gd("get-url", s.url, "out")
    return (repo.path / "out").read_bytes()


@pytest.mark.parametrize("new", [NEW, LONGER, OLD[:250_000]], ids=["same length", "longer", "shorter"])
@pytest.mark.parametrize("tags", [('"1"', '"2"'), (None, None), ('W/"1"', 'W/"1"'), ('"1"', None)],
                         ids=["tags", "none", "weak", "lost"])
def test_never_two_versions_in_one(make_repo, serve, new, tags):
    s = serve((OLD, tags[0]), (new, tags[1]))
    assert got(make_repo(), s) == new
    assert s.gets[-1] == 0


def test_what_did_not_change_goes_on(make_repo, serve):
    s = serve((OLD, '"1"'), cuts=3)
    assert got(make_repo(), s) == OLD
    assert sorted(s.gets) == s.gets and s.gets[-1] > 100_000


def test_a_server_that_gives_less_than_all_is_asked_for_the_rest(make_repo, serve):
    s = serve((OLD, '"1"'), cuts=0, at_most=70_000)
    assert got(make_repo(), s) == OLD
    assert s.gets == [0, 70_000, 140_000, 210_000, 280_000]


@pytest.mark.parametrize("cuts", [0, 1, 2])
def test_an_encoding_nobody_asked_for_is_taken_off(make_repo, serve, cuts):
    data = os.urandom(100_000) + OLD
    s = serve((data, '"1"'), cuts=cuts, packed=True)
    assert got(make_repo(), s) == data


def test_import_url_records_one_version(make_repo, serve):
    r = make_repo()
    s = serve((OLD, '"1"'), (NEW, '"2"'))
    r.gd("import-url", s.url, "out")
    assert (r.path / "out").read_bytes() == NEW


def test_over_ssh_too(make_repo, tmp_path):
    try:
        sshd = places.start("ssh", tmp_path / "sshd")
    except places.Missing as e:
        pytest.skip(str(e))
    r, there = make_repo(), sshd.dir / "there"
    old, new = os.urandom(3_000_000), os.urandom(3_000_000)
    there.mkdir()
    (there / "new").write_bytes(new)
    (there / "file").write_bytes(old)
    os.utime(there / "file", (1_000_000_000, 1_000_000_000))
    with Relay(sshd.port) as relay:
        sshd.known_to(r.env["HOME"], sshd.host_line("ed25519", f"[127.0.0.1]:{relay.port}"))
        r.gd("remote", "add", "-q", "r", sshd.url(there).replace(f":{sshd.port}/", f":{relay.port}/"))
        r.gd("remote", "modify", "-q", "--local", "r", "keyfile", str(sshd.keys["ed25519"]))
        relay.cut("down", 2_000_000, times=1)
        relay.at("down", 1_000_000, lambda: os.replace(there / "new", there / "file"))
        r.gd("import-url", "remote://r/file", "out")
    sshd.stop()
    assert (r.path / "out").read_bytes() == new
