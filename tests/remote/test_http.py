"""Plain HTTP, DAGsHub's shape, and who gets which credentials."""
import base64
import os
import stat
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import places
import pytest
from servers.base import Missing
from servers.dagshub import DagsHub
from servers.dav import NginxDav, RcloneDav
from test_contract import FILES, key_of

BASIC = dict(auth="basic", user="user", password="token")


@pytest.fixture
def hub(tmp_path):
    made = []

    def make(**kw):
        made.append(DagsHub(tmp_path / "hub", **kw))
        return made[-1]
    yield make
    for h in made:
        h.stop()


def ready(make_repo, url, files=FILES, name="r", **options):
    return places.fill(make_repo(name), url, files, options)


def again(r, tool="gd"):
    """Everything local goes and comes back."""
    before = r.snapshot()
    for n in {n.split("/")[0] for n in FILES} | {".dvc/cache"}:
        if r.exists(n):
            r.rm(n)
    r.tool(tool, "pull")
    assert r.snapshot() == before


@pytest.mark.parametrize("pusher,puller", [("gd", "dvc"), ("dvc", "gd"), ("gd", "gd")])
def test_dagshub_both_ways(make_repo, hub, pusher, puller):
    h = hub()
    r = ready(make_repo, h.url, **BASIC)
    r.tool(pusher, "push")
    for data in FILES.values():
        assert (h_file(h, key_of(data))).read_bytes() == data
    again(r, puller)
    assert r.gd("push").out == "Everything is up to date.\n"


def h_file(h, key):
    from pathlib import Path
    return Path(h.root) / "user/repo.dvc" / key


def test_credentials_stay_with_their_origin(make_repo, hub):
    h = hub()
    r = ready(make_repo, h.url, **BASIC)
    r.gd("push")
    again(r)
    foreign = [x for x in h.seen if x[3]]
    assert foreign and not any("Authorization" in x[2] for x in foreign)


def test_a_custom_header_stays_too(make_repo, hub):
    h = hub(auth=None, header=("X-Token", "s3cret"))
    r = ready(make_repo, h.url, auth="custom", custom_auth_header="X-Token", password="s3cret")
    r.gd("push")
    again(r)
    assert not any("X-Token" in x[2] for x in h.seen if x[3])
    r.gd("remote", "modify", "--local", "r", "password", "other")
    p = r.gd("push", "--check", code=None)
    assert p.code and "401" in p.err and "other" not in p.err


def test_refusals_stop_and_say_what_to_type(make_repo, hub):
    h = hub()
    r = ready(make_repo, h.url)
    p = r.gd("push", code=None)
    assert p.code and "401" in p.err and "auth basic" in p.err
    assert len([x for x in h.seen if x[0] in ("POST", "PUT")]) <= 1
    r.gd("remote", "modify", "--local", "r", "auth", "basic")
    p = r.gd("push", code=None)
    assert p.code and "'user' and 'password'" in p.err


@pytest.mark.parametrize("method", ["POST", "PUT", "put"])
def test_method_chooses_the_verb(make_repo, hub, method):
    h = hub(auth=None, methods=(method.upper(),), redirect=False)
    r = ready(make_repo, h.url, method=method)
    r.gd("push")
    sent = [x for x in h.seen if x[0] in ("POST", "PUT")]
    assert {x[0] for x in sent} == {method.upper()}
    assert all(x[2]["Content-Type"] == "application/octet-stream" and "Expect" not in x[2] for x in sent)


def test_a_server_without_head(make_repo, hub):
    h = hub(no_head=True)
    r = ready(make_repo, h.url, **BASIC)
    r.gd("push")
    again(r)
    assert r.gd("push").out == "Everything is up to date.\n"


def test_too_large_is_named_and_the_manifest_stays_home(make_repo, hub):
    h = hub(limit=4)
    r = ready(make_repo, h.url, **BASIC)
    p = r.gd("push", code=None)
    assert p.code == 1 and "400" in p.err
    assert not any(f.name.endswith(".dir") for f in h_file(h, "").rglob("*"))


def test_an_upload_that_the_server_loses_is_no_success(make_repo, hub):
    h = hub(auth=None)
    h.lose = True
    r = ready(make_repo, h.url)
    p = r.gd("push", code=None)
    assert p.code == 1 and "does not have it" in p.err


def test_netrc_and_credentials_of_the_url(make_repo, hub):
    h = hub()
    r = ready(make_repo, h.url)
    (r.path.parent / "home/.netrc").write_text("machine 127.0.0.1 login user password token\n")
    os.chmod(r.path.parent / "home/.netrc", stat.S_IRUSR | stat.S_IWUSR)
    r.gd("push")
    assert any(x[2].get("Authorization", "").startswith("Basic") for x in h.seen)
    other = ready(make_repo, h.url.replace("//", "//user:token@"), name="q")
    (r.path.parent / "home/.netrc").unlink()
    assert other.gd("push").out == "Everything is up to date.\n"
    assert "token" not in other.gd("push", "-v", code=None).err


def test_webdav_makes_its_base_and_takes_a_bearer(make_repo, tmp_path):
    made = []
    try:
        for kind in (NginxDav, RcloneDav):
            s = kind(tmp_path / kind.__name__)
            s.start()
            made.append(s)
            r = ready(make_repo, s.url("deep/er/base"), name=kind.__name__ + "r", **s.options, **s.secrets)
            assert r.gd("push").out == "5 files pushed\n"
            assert not [f for f in s.root.rglob("*.tmp")]
            again(r)
    except Missing as e:
        pytest.skip(str(e))
    finally:
        for s in made:
            s.stop()


def test_bearer_tokens(make_repo, hub, tmp_path):
    h = hub(auth=None, header=("Authorization", "Bearer two"), redirect=False)
    counter = tmp_path / "n"
    script = tmp_path / "tok en.sh"
    script.write_text(f"#!/bin/sh\necho x >>'{counter}'\necho two\n")
    script.chmod(0o755)
    url = h.url.replace("http://", "webdav://")
    r = ready(make_repo, url, bearer_token_command=f"'{script}'")
    r.gd("status", "-c", code=None)
    assert any(x[2].get("Authorization") == "Bearer two" for x in h.seen)
    assert counter.read_text().count("x") <= 2
    q = ready(make_repo, url, name="q", token="two")
    h.seen.clear()
    q.gd("status", "-c", code=None)
    assert h.seen and all(x[2].get("Authorization") == "Bearer two" for x in h.seen)


def test_an_unreachable_host_ends_soon_and_is_named(make_repo):
    r = ready(make_repo, "http://127.0.0.1:9/x", files={"f": b"1"})
    p = r.gd("push", code=None, timeout=120)
    assert p.code == 1 and "127.0.0.1" in p.err


def test_basic_is_what_it_should_be(make_repo, hub):
    h = hub(auth=("us er", "pä:ss"))
    r = ready(make_repo, h.url, auth="basic", user="us er", password="pä:ss")
    r.gd("push")
    want = "Basic " + base64.b64encode("us er:pä:ss".encode()).decode()
    assert all(x[2]["Authorization"] == want for x in h.seen if not x[3])


def test_who_may_only_write_pushes(make_repo, hub):
    h = hub(auth=None, redirect=False)
    h.deny = "/files/md5/"
    r = ready(make_repo, h.url)
    r.gd("push")
    for data in FILES.values():
        assert h_file(h, key_of(data)).read_bytes() == data


def test_what_may_not_be_read_fails_alone(make_repo, hub):
    h = hub(auth=None, redirect=False)
    files = {f"f{i}": f"{i}\n".encode() for i in range(30)}
    r = ready(make_repo, h.url, files=files)
    r.gd("push")
    bad = key_of(files["f0"])
    h.deny = bad
    r.rm(".dvc/cache")
    p = r.gd("fetch", code=1)
    assert "403" in p.err and len(r.cache()) == 29
    h.deny = "/files/"
    r.rm(".dvc/cache")
    h.seen.clear()
    p = r.gd("fetch", "-j", "1", code=1)
    assert "403" in p.err and "auth basic" in p.err and 20 < len(h.seen) < 29


def test_user_and_password_count_with_auth_only(make_repo, hub):
    h = hub(auth=None, redirect=False)
    r = ready(make_repo, h.url, user="user", password="token")
    r.gd("push")
    assert h.seen and not any("Authorization" in x[2] for x in h.seen)


def test_a_method_that_is_none_matters_for_uploads_only(make_repo, hub):
    h = hub(auth=None, redirect=False)
    r = ready(make_repo, h.url)
    r.gd("push")
    r.gd("remote", "modify", "r", "method", "patch")
    again(r)
    h_file(h, key_of(FILES["f"])).unlink()
    p = r.gd("push", code=1)
    assert "neither POST nor PUT" in p.err


def test_a_broken_object_gets_no_name_there(make_repo, hub):
    h = hub(auth=None, redirect=False)
    big = os.urandom(3_000_000)
    r = ready(make_repo, h.url, files={"small": b"right", "big": big})
    for data in (b"right", big):
        p = r.path / ".dvc/cache" / key_of(data)
        p.chmod(0o644)
        p.write_bytes(b"W" + data[1:])
        p.chmod(0o444)
    p = r.gd("push", code=1)
    assert p.err.count("was corrupted") == 2
    assert not [f for f in h_file(h, "").rglob("*") if f.is_file()]


class SmallDav:
    """WebDAV without a listing, which remembers what it was asked; refuses MOVE if it is told to."""

    def __init__(self, moves):
        dav = self
        self.seen, self.files = [], {}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path, status = self.path, 404
                dav.seen.append((self.command, path))
                if self.command == "PUT":
                    dav.files[path], status = body, 201
                elif self.command == "MOVE" and not moves:
                    status = 405
                elif self.command == "MOVE":
                    dav.files[urlsplit(self.headers["Destination"]).path], status = dav.files.pop(path), 201
                elif self.command == "MKCOL":
                    status = 201
                elif path in dav.files:
                    status = 204 if self.command == "DELETE" else 200
                    dav.files.pop(path, None) if self.command == "DELETE" else None
                self.send_response(status)
                size = len(dav.files.get(path, b"")) if self.command == "HEAD" else 0
                self.send_header("Content-Length", str(size))
                self.end_headers()
            do_PUT = do_MOVE = do_MKCOL = do_DELETE = do_HEAD = do_GET = do_PROPFIND = answer

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"webdav://127.0.0.1:{self.server.server_port}/dav"

    def asked(self, method):
        return [path for m, path in self.seen if m == method]


@pytest.mark.parametrize("moves", [True, False])
def test_webdav_hashes_a_large_object_while_it_is_sent(make_repo, moves):
    """It gets its name by MOVE: only that waits for the digest. Without MOVE nothing goes to its name before."""
    dav = SmallDav(moves)
    good, bad, small = os.urandom(9_000_000), os.urandom(5_000_000), b"small and wrong"
    r = ready(make_repo, dav.url, files={"good": good, "bad": bad, "small": small})
    for data in (bad, small):
        p = r.path / ".dvc/cache" / key_of(data)
        p.chmod(0o644)
        p.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        p.chmod(0o444)
    p = r.gd("push", code=1)
    assert p.err.count("was corrupted") == 2, p
    assert dav.files == {f"/dav/{key_of(good)}": good}
    temps = [path for path in dav.asked("PUT") if path.endswith(".tmp")]
    assert len([path for path in temps if key_of(bad).rpartition("/")[0] in path]) == 1, "it was hashed first"
    assert [path for path in dav.asked("PUT") if path not in temps] == ([] if moves else [f"/dav/{key_of(good)}"])
    dav.server.shutdown()
