"""Misbehaving networks and servers before every kind of remote: each run ends complete, or says exactly what failed, and
nothing corrupt is ever named. test_faults.py has what only S3 shows."""
import hashlib
import os
import shlex
from pathlib import Path

import places
import pytest
from conftest import Place, s3_place
from servers import s3 as s3_server
from servers.azurite import ACCOUNT, Azurite
from servers.base import Missing
from servers.dagshub import DagsHub
from servers.faultproxy import FaultProxy
from servers.relay import Relay
from servers.tokens import Tokens
from test_azure import certificate

N = 12
HTTP = ["azure", "webdav", "http"]
_count = iter(range(10**9))


class Web:
    """Plain HTTP over a directory."""

    def __init__(self, directory):
        self.root = Path(directory) / "data"

    def start(self):
        self.hub = DagsHub(self.root, auth=None, redirect=False)
        self.port = self.hub.main.server_port
        return self

    def stop(self):
        self.hub.stop()


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """servers(kind): started at the first question."""
    made = {}

    def get(kind):
        if kind not in made:
            d = tmp_path_factory.mktemp(kind)
            try:
                if kind == "s3":
                    if not s3_server.kinds():
                        raise Missing("no S3 server is installed (weed or versitygw)")
                    made[kind] = s3_server.S3Server(s3_server.kinds()[-1], d).start()
                elif kind == "http":
                    made[kind] = Web(d).start()
                else:
                    made[kind] = places.start({"webdav": "dav-nginx"}.get(kind, kind), d)
            except Missing as e:
                pytest.skip(str(e))
        return made[kind]
    yield get
    for s in made.values():
        s.stop()


def place_of(kind, server, port):
    """A fresh place on the server, reached by another port."""
    name = f"x{next(_count)}"
    if kind == "s3":
        return s3_place(server, name, f"http://127.0.0.1:{port}")
    if kind == "http":
        (server.root / name).mkdir(parents=True)
        return Place(f"http://127.0.0.1:{port}/{name}", {"method": "PUT"}, **places._files(server.root / name))
    kw = places.place_of({"webdav": "dav-nginx"}.get(kind, kind), server, name)
    for field in ("secrets", "options"):
        kw[field] = {k: v.replace(f":{server.port}/", f":{port}/") for k, v in kw.get(field, {}).items()}
    kw["url"] = kw["url"].replace(f":{server.port}/", f":{port}/")
    if kind == "ssh":
        line = server.host_line("ed25519", f"[127.0.0.1]:{port}")
        kw["prepare"] = lambda repo: server.known_to(repo.env["HOME"], line)
    return Place(**kw)


def fill(r, n=N, big=300_000):
    for i in range(n):
        r.write(f"d/{i:03}", f"file {i}\n".encode() * (i + 1))
    if big:
        r.write("d/big", os.urandom(big))
    r.gd("add", "d")
    r.objects = {k: v for k, (_, v) in r.cache().items()}
    return r


def complete(r, place):
    keys = set(place.keys())
    for name, content in r.objects.items():
        assert name in keys and place.read(name) == content, name


def sound(r):
    for name, (_, content) in r.cache().items():
        assert hashlib.md5(content).hexdigest() == name.removesuffix(".dir").split("/", 2)[2].replace("/", ""), name


CUTS = [("up", n) for n in (0, 1, 60, 700, 3_000, 20_000, 120_000, 290_000)]
CUTS += [("down", n) for n in (0, 1, 60, 300, 1_200, 5_000, 60_000, 290_000)]


@pytest.mark.parametrize("kind", ["s3", "ssh", *HTTP])
def test_connections_that_are_cut_at_every_place(make_repo, servers, kind):
    """Two connections die after so many bytes of one direction, then it works: push and fetch are complete."""
    server, r = servers(kind), fill(make_repo())
    with Relay(server.port) as relay:
        for way, n in CUTS:
            place = place_of(kind, server, relay.port)
            place.add_to(r)
            for command in ("push", "fetch"):
                if command == "fetch":
                    r.rm(".dvc/cache")
                relay.reset()
                relay.cut(way, n, times=2)
                p = r.gd(command, code=None)
                assert p.code == 0, f"{command}, {way} cut at {n}: {p!r}"
            complete(r, place)
            assert {k: v for k, (_, v) in r.cache().items()} == r.objects


@pytest.fixture(params=HTTP)
def behind(request, make_repo, servers):
    """(repository, place, proxy)"""
    server, r = servers(request.param), fill(make_repo())
    with FaultProxy("127.0.0.1", server.port) as p:
        place = place_of(request.param, server, p.port)
        options = {"azure": {"read_timeout": "1"}, "webdav": {"timeout": "1"}, "http": {"read_timeout": "1"}}[request.param]
        place.add_to(r, **options)
        p.kind = request.param
        yield r, place, p


UP = [dict(do="status", status=503, retry_after=1, every=6), dict(do="status", status=500, code="InternalError", times=3),
      dict(do="status", status=429, times=2), dict(do="drop", every=7), dict(do="cut_up", after=100, times=4),
      dict(do="stall", seconds=3, times=1), dict(do="drip", times=1), dict(do="drip_up", times=1), dict(do="etag", every=2)]


@pytest.mark.parametrize("fault", UP, ids=lambda f: "-".join(str(v) for v in f.values()))
def test_a_push_through_faults_is_complete(behind, fault):
    r, place, proxy = behind
    f = proxy.fault(method="PUT" if fault["do"] not in ("drip", "stall") else "PUT|HEAD|GET|PROPFIND", **fault)
    p = r.gd("push", code=None)
    assert f.hits and p.code == 0 and p.out == f"{N + 2} files pushed\n", repr(p)
    complete(r, place)


DOWN = [dict(do="status", status=503, retry_after=1, every=6), dict(do="drop", every=7), dict(do="cut", after=10, every=6),
        dict(do="cut", after=0, times=3), dict(do="cut", after=150_000, times=5), dict(do="flip", every=9),
        dict(do="short", times=2), dict(do="nolength", times=2), dict(do="stall", seconds=3, times=1),
        dict(do="drip", times=2), dict(do="etag", every=2), dict(do="range", every=1)]


@pytest.mark.parametrize("fault", DOWN, ids=lambda f: "-".join(str(v) for v in f.values()))
def test_a_fetch_through_faults_is_complete_and_right(behind, fault):
    r, place, proxy = behind
    r.gd("push")
    r.rm(".dvc/cache")
    f = proxy.fault(method="GET", path="/files/md5/", **fault)
    if fault["do"] == "range":
        proxy.fault(do="cut", after=100_000, method="GET", path="/files/md5/", times=20)
        proxy.faults.reverse()
        f = proxy.faults[0]
    p = r.gd("fetch", code=None)
    assert f.hits and p.code == 0, repr(p)
    assert {k: v for k, (_, v) in r.cache().items()} == r.objects


@pytest.mark.parametrize("kind", ["s3", *HTTP])
@pytest.mark.parametrize("method", ["PUT", "POST", "MOVE|DELETE", "MKCOL|PROPFIND", "HEAD", "GET"])
def test_answers_that_are_lost_after_the_work_was_done(make_repo, servers, kind, method):
    """The second request finds the work of the first: a name that was moved, an upload that was completed."""
    server, r = servers(kind), fill(make_repo(), big=70_000_000 if kind == "s3" and method in ("PUT", "POST") else 300_000)
    with FaultProxy("127.0.0.1", server.port) as proxy:
        place = place_of(kind, server, proxy.port)
        place.add_to(r)
        proxy.fault(do="lost", method=method, every=2 if method == "MKCOL|PROPFIND" else 3)
        assert r.gd("push").out.endswith(" pushed\n")          # what a second try finds there is not counted
        complete(r, place)
        r.rm(".dvc/cache")
        r.gd("fetch")
        assert {k: v for k, (_, v) in r.cache().items()} == r.objects


def test_a_server_that_always_lies_is_caught(behind):
    r, place, proxy = behind
    r.gd("push")
    r.rm(".dvc/cache")
    proxy.fault(do="flip", method="GET", path="/files/md5/.*(?<!dir)$", every=1)
    p = r.gd("fetch", code=1)
    assert p.err.count("does not match its name") == N + 1
    sound(r)
    assert not any(n.endswith(".dir") for n in r.cache())


def test_failures_are_listed_one_by_one(behind):
    r, place, proxy = behind
    md5 = {f"d/{i:03}": hashlib.md5(f"file {i}\n".encode() * (i + 1)).hexdigest() for i in range(N)}
    bad = ["d/003", "d/007"]
    if proxy.kind == "webdav":          # the object's name is in a header of the last step
        proxy.fault(do="status", status=413, method="MOVE", skip=3, times=2)
    else:
        for name in bad:
            proxy.fault(do="status", status=413, code="EntityTooLarge", method="PUT", path=md5[name][2:], every=1)
    p = r.gd("push", code=1)
    if proxy.kind == "webdav":
        bad = [n for n in md5 if n in p.err] + ["d/big"] * ("d/big" in p.err)
    assert len(bad) == 2 and p.err.count("413") == 2
    assert all(md5.get(n, n) in p.err for n in bad)
    keys = place.keys()
    assert not any(k.endswith(".dir") for k in keys) and len(keys) == N - 1
    proxy.clear()
    assert r.gd("push").out == "3 files pushed\n"
    complete(r, place)


@pytest.mark.parametrize("status", [400, 403, 405, 502])
def test_a_webdav_server_that_refuses_to_move(make_repo, servers, status):
    server, r = servers("webdav"), fill(make_repo())
    with FaultProxy("127.0.0.1", server.port) as proxy:
        place = place_of("webdav", server, proxy.port)
        place.add_to(r)
        f = proxy.fault(do="status", status=status, method="MOVE", every=1)
        r.gd("push")
        assert f.hits
        complete(r, place)
        assert set(place.keys()) == set(r.objects)


@pytest.mark.parametrize("kind", ["s3", "azure", "webdav"])
def test_a_listing_that_is_cut_is_not_believed(make_repo, servers, kind):
    server, r = servers(kind), fill(make_repo(), n=200, big=0)
    with FaultProxy("127.0.0.1", server.port) as proxy:
        place = place_of(kind, server, proxy.port)
        place.add_to(r)
        r.gd("push")
        question = {"s3": "list-type=2", "azure": "comp=list"}.get(kind, "/")
        for do, more in (("truncate", {}), ("cut", {"after": 300}), ("short", {}), ("drop", {})):
            lost = sorted(r.objects)[7]
            place.delete(lost)
            proxy.clear()
            f = proxy.fault(do=do, method="PROPFIND|GET", path=question, times=2, **more)
            assert r.gd("push").out == "1 file pushed\n"
            assert f.hits, "the remote was not listed"
            complete(r, place)


@pytest.mark.parametrize("kind", ["s3", *HTTP])
def test_one_of_a_hundred_requests_is_dropped(make_repo, servers, kind):
    server, r = servers(kind), fill(make_repo(), n=250, big=0)
    with FaultProxy("127.0.0.1", server.port, seed=3) as proxy:
        place = place_of(kind, server, proxy.port)
        place.add_to(r)
        f = proxy.fault(do="drop", rate=0.01)
        r.gd("push")
        complete(r, place)
        r.rm(".dvc/cache")
        r.gd("fetch")
        assert f.hits > 2 and {k: v for k, (_, v) in r.cache().items()} == r.objects


def test_an_azure_token_that_ends_in_mid_transfer(make_repo, tmp_path):
    tokens = Tokens()
    try:
        s = Azurite(tmp_path / "az", tls=certificate(tmp_path / "az")).start()
    except Missing as e:
        tokens.stop()
        pytest.skip(str(e))
    try:
        with FaultProxy("127.0.0.1", s.port, tls=True) as proxy:
            r = fill(make_repo())
            r.env.update(AZURE_AUTHORITY_HOST=tokens.url, GIT_DATA_AZURE_ENDPOINT=f"{proxy.url}/{ACCOUNT}")
            r.gd("remote", "add", "-q", "-d", "r", "azure://cont/x")
            for k, v in dict(account_name=ACCOUNT, tenant_id="t", client_id="c", client_secret="s").items():
                r.gd("remote", "modify", "--local", "r", k, v)
            f = proxy.fault(do="status", status=401, method="PUT", skip=4, times=3,
                            headers=[("x-ms-error-code", "InvalidAuthenticationInfo")])
            r.gd("push")
            assert f.hits == 3 and 2 <= len(tokens.seen) <= 5
            assert {k.removeprefix("x/"): s.read(k) for k in s.keys("x/")} == r.objects
    finally:
        s.stop()
        tokens.stop()


def test_a_bearer_token_that_ends_in_mid_transfer(make_repo, tmp_path):
    """The command is asked again; with the old token nothing more is written."""
    hub = DagsHub(tmp_path / "hub", auth=None, header=("Authorization", "Bearer 1"), redirect=False)
    script = tmp_path / "token"
    script.write_text(f"#!/bin/sh\necho >>{shlex.quote(str(tmp_path / 'n'))}\nwc -l <{shlex.quote(str(tmp_path / 'n'))}\n")
    script.chmod(0o755)
    try:
        with FaultProxy("127.0.0.1", hub.main.server_port) as proxy:
            r = fill(make_repo())
            r.gd("remote", "add", "-q", "-d", "r", f"webdav://127.0.0.1:{proxy.port}/b")
            r.gd("remote", "modify", "--local", "r", "bearer_token_command", str(script))
            real = proxy.pick

            def pick(method, path, *rest):
                if method == "PUT" and len([x for x in proxy.seen if x[0] == "PUT"]) == 5:
                    hub.header = ("Authorization", "Bearer 2")
                return real(method, path, *rest)
            proxy.pick = pick
            r.gd("push")
            assert (tmp_path / "n").read_text().count("\n") == 2
            got = {str(p.relative_to(tmp_path / "hub/b")): p.read_bytes() for p in (tmp_path / "hub/b").rglob("*") if p.is_file()}
            assert {k: got.get(k) for k in r.objects} == r.objects
    finally:
        hub.stop()


@pytest.mark.parametrize("kind", HTTP)
def test_credentials_that_end_in_mid_transfer_stop_with_what_to_type(make_repo, servers, kind):
    server, r = servers(kind), fill(make_repo())
    with FaultProxy("127.0.0.1", server.port) as proxy:
        place = place_of(kind, server, proxy.port)
        place.add_to(r)
        proxy.fault(do="status", status=401, code="Expired", method="PUT", skip=5, times=10**6)
        p = r.gd("push", "-j", "2", code=1)
        assert "401" in p.err and len(proxy.seen) < 120
        keys = place.keys()
        assert not any(k.endswith(".dir") for k in keys)
        assert all(place.read(k) == r.objects[k] for k in keys if k in r.objects)
        proxy.clear()
        r.gd("push")
        complete(r, place)
