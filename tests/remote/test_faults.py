"""A proxy between the tool and a real S3 server misbehaves: every case ends complete, or with an exact list of what failed;
nothing corrupt is ever named."""
import hashlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from test_contract import key_of

GIT_DATA = os.environ.get("GIT_DATA") or str(Path(__file__).resolve().parents[2] / "build/release/git-data")

N = 40


def md5(data):
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def data(make_repo, faults):
    r = make_repo()
    faults.place.add_to(r, read_timeout="2")
    for i in range(N):
        r.write(f"d/{i:03}", f"file {i}\n".encode() * (i + 1))
    r.write("d/big", os.urandom(300_000))
    r.gd("add", "d")
    return r


def complete(repo, faults):
    """All objects are on the remote and right."""
    keys = set(faults.place.keys())
    for name, (_, content) in repo.cache().items():
        assert name in keys and faults.place.read(name) == content


def sound(repo):
    for name, (_, content) in repo.cache().items():
        assert md5(content) == name.removesuffix(".dir").split("/", 2)[2].replace("/", ""), name


UP = [dict(do="status", status=503, every=5), dict(do="status", status=500, code="InternalError", times=3),
      dict(do="status", status=429, retry_after=1, times=2), dict(do="drop", every=7), dict(do="cut_up", after=100, times=4),
      dict(do="delay", seconds=1, times=2), dict(do="etag", every=2), dict(do="stall", seconds=4, times=1),
      dict(do="status", status=400, code="RequestTimeout", times=2)]


@pytest.mark.parametrize("fault", UP, ids=lambda f: "-".join(str(v) for v in f.values()))
def test_a_push_through_faults_is_complete(data, faults, fault):
    f = faults.fault(method="PUT", **fault)
    assert data.gd("push").out == f"{N + 2} files pushed\n"
    assert f.hits
    complete(data, faults)


DOWN = [dict(do="status", status=503, every=5), dict(do="drop", every=7), dict(do="cut", after=10, every=6),
        dict(do="cut", after=0, times=3), dict(do="cut", after=150_000, times=5), dict(do="flip", every=9),
        dict(do="short", times=2), dict(do="nolength", times=2), dict(do="stall", seconds=4, times=1),
        dict(do="etag", every=2), dict(do="range", every=1)]


@pytest.mark.parametrize("fault", DOWN, ids=lambda f: "-".join(str(v) for v in f.values()))
def test_a_fetch_through_faults_is_complete_and_right(data, faults, fault):
    data.gd("push")
    before = data.cache()
    data.rm(".dvc/cache")
    f = faults.fault(method="GET", path="/files/md5/", **fault)
    p = data.gd("fetch", code=None)
    assert f.hits and p.code == 0, repr(p)
    assert data.cache() == before


def test_a_server_that_always_lies_is_caught(data, faults):
    data.gd("push")
    data.rm(".dvc/cache")
    faults.fault(do="flip", method="GET", path="/files/md5/.*(?<!dir)$", every=1)
    p = data.gd("fetch", code=1)
    assert p.err.count("does not match its name") == N + 1
    sound(data)
    assert not any(n.endswith(".dir") for n in data.cache())
    faults.clear()
    data.gd("fetch")
    sound(data)
    assert len(data.cache()) == N + 2


def test_failures_are_listed_one_by_one(data, faults):
    bad = [md5(f"file {i}\n".encode() * (i + 1)) for i in (3, 7)]
    for h in bad:
        faults.fault(do="status", status=413, code="EntityTooLarge", method="PUT", path=h[2:], every=1)
    p = data.gd("push", code=1)
    for i, h in zip((3, 7), bad):
        assert h in p.err and f"d/{i:03}" in p.err
    assert "413" in p.err and "EntityTooLarge" in p.err and "failed to upload" in p.err
    keys = faults.place.keys()
    assert not any(k.endswith(".dir") for k in keys) and len(keys) == N - 1
    faults.clear()
    assert data.gd("push").out == "3 files pushed\n"
    complete(data, faults)


def test_refused_credentials_stop_at_once(data, faults):
    data.gd("remote", "modify", "--local", "r", "secret_access_key", "wrong")
    start = time.time()
    p = data.gd("push", code=255)      # as DVC: nothing was tried yet
    assert "403" in p.err and "remote check" in p.err and time.time() - start < 10
    assert len(faults.seen) < 2 * 64 + 8
    assert "wrong" not in p.err + p.out


def test_kill_in_mid_transfer_then_go_on(data, faults):
    for direction in ("push", "fetch"):
        if direction == "fetch":
            data.rm(".dvc/cache")
        faults.clear()
        faults.latency = 0.02
        p = subprocess.Popen([GIT_DATA, direction, "-j", "2"], cwd=data.path, env=data.env, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        end = time.time() + 20
        while len(faults.seen) < 25 and time.time() < end and p.poll() is None:
            time.sleep(0.01)
        p.send_signal(signal.SIGKILL)
        p.wait()
        faults.latency = 0
        if direction == "push":
            assert not any(k.endswith(".dir") for k in faults.place.keys())
        else:
            sound(data)
        data.gd(direction)
        complete(data, faults)
        sound(data)


def test_a_large_download_goes_on_where_it_was_cut(make_repo, faults):
    r = make_repo()
    faults.place.add_to(r)
    body = os.urandom(12_000_000)
    r.write("big", body)
    r.gd("add", "big")
    r.gd("push")
    r.rm(".dvc/cache")
    r.rm("big")
    f = faults.fault(do="cut", after=9_000_000, method="GET", path="/files/md5/", times=1)
    g = faults.fault(do="drop", method="GET", path="/files/md5/", every=1)
    p = subprocess.Popen([GIT_DATA, "fetch"], cwd=r.path, env=r.env, stderr=subprocess.DEVNULL)
    end = time.time() + 20
    while not (f.hits and g.hits) and time.time() < end:
        time.sleep(0.02)
    p.kill()
    p.wait()
    assert f.hits and g.hits
    faults.clear()
    faults.sent = 0
    r.gd("pull")
    assert r.read("big") == body
    assert faults.sent < 4_000_000, "the second run went on where the first was killed"


def test_a_server_without_conditional_puts_is_served_without_them(data, faults):
    """Every request that was under way with the condition is repeated, not the first alone."""
    faults.latency = 0.05
    f = faults.fault(do="status", status=501, code="NotImplemented", method="PUT", having="If-None-Match", every=1)
    assert data.gd("push").out == f"{N + 2} files pushed\n"
    assert f.hits > 1
    complete(data, faults)


def test_an_interrupted_listing_ends_at_once(data, faults):
    data.gd("push")
    for i in range(80):
        data.write(f"e/{i}", f"{i}")
    data.gd("add", "e")
    f = faults.fault(do="delay", seconds=20, method="GET", path="list-type=2", every=1)
    data.gd("remote", "modify", "r", "read_timeout", "60")
    p = subprocess.Popen([GIT_DATA, "push"], cwd=data.path, env=data.env, stderr=subprocess.PIPE, text=True)
    end = time.time() + 20
    while not f.hits and time.time() < end:
        time.sleep(0.01)
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=15)
    assert f.hits and p.returncode == 252


def test_options_that_exclude_each_other(data, faults):
    data.gd("remote", "modify", "r", "acl", "private")
    data.gd("remote", "modify", "r", "grant_read", "id=x")
    faults.clear()
    p = data.gd("push", code=None)
    assert p.code and "`acl` and `grant_*` AWS S3 config options are mutually exclusive" in p.err and not faults.seen
    data.gd("remote", "modify", "r", "--unset", "acl")
    data.gd("remote", "modify", "r", "sse_kms_key_id", "k")
    data.gd("remote", "modify", "--local", "r", "sse_customer_key", "a2V5")
    p = data.gd("push", code=None)
    assert p.code and "mutually exclusive" in p.err and not faults.seen


@pytest.fixture
def parts(make_repo, faults):
    """A repository whose uploads go in parts of 5 MiB."""
    r = make_repo()
    faults.place.add_to(r)
    r.write("../aws", "[default]\ns3 =\n  multipart_threshold = 5MB\n  multipart_chunksize = 5MB\n")
    r.env["AWS_CONFIG_FILE"] = str(r.path / "../aws")
    r.body = os.urandom(33_000_000)
    r.write("big", r.body)
    r.gd("add", "big")
    return r


def stored(faults):
    return [faults.place.read(k) for k in faults.place.keys()]


def test_a_large_upload_goes_in_parts_through_faults(parts, faults):
    f = faults.fault(do="status", status=503, method="PUT", path="partNumber=3", times=2)
    g = faults.fault(do="cut_up", after=100_000, method="PUT", path="partNumber=5", times=1)
    h = faults.fault(do="status", status=500, code="InternalError", method="POST", path="uploadId=", times=1)
    parts.gd("push")
    assert f.hits == 2 and g.hits == 1 and h.hits == 1
    assert stored(faults) == [parts.body]
    assert sum("partNumber=" in p for _, p in faults.seen) < 7 + 3 + 4, "a failed part does not send the others again"


def test_a_killed_upload_goes_on_with_its_parts(parts, faults):
    faults.latency = 0.3
    p = subprocess.Popen([GIT_DATA, "push", "-j", "1"], cwd=parts.path, env=parts.env, stderr=subprocess.DEVNULL)
    end = time.time() + 30
    while sum("partNumber=" in x for _, x in faults.seen) < 5 and time.time() < end:
        time.sleep(0.01)
    p.kill()
    p.wait()
    time.sleep(0.5)
    faults.latency = 0
    faults.clear()
    faults.received = 0
    parts.gd("push")
    assert stored(faults) == [parts.body]
    assert faults.received < 20_000_000, "what was up already is not sent again"


@pytest.fixture
def two_large(make_repo, faults):
    """Two files that go up whole to a server that is near, and in parts to one that is not."""
    r = make_repo()
    faults.place.add_to(r)
    r.bodies = []
    for i in range(2):
        r.bodies.append(os.urandom(1 << 20) * 65)
        r.write(f"big{i}", r.bodies[i])
    r.gd("add", "big0", "big1")
    return r


def test_large_uploads_to_a_far_server_go_in_parts(two_large, faults):
    faults.latency = 0.02
    two_large.gd("push")
    assert sorted(map(md5, stored(faults))) == sorted(map(md5, two_large.bodies))
    assert sum("partNumber=" in p for _, p in faults.seen) == 2 * 5


def test_a_whole_upload_that_is_too_large_for_somebody_goes_in_parts(two_large, faults):
    f = faults.fault(do="status", status=413, code="RequestEntityTooLarge", method="PUT", path=r"/\w{30}$", times=9)
    two_large.gd("push")
    assert sorted(map(md5, stored(faults))) == sorted(map(md5, two_large.bodies))
    assert sum("partNumber=" in p for _, p in faults.seen) == 2 * 5
    assert f.hits <= 2


def test_a_whole_upload_that_is_cut_goes_in_parts(two_large, faults):
    f = faults.fault(do="cut_up", after=1_000_000, method="PUT", path=r"/\w{30}$", times=1)
    two_large.gd("push")
    assert sorted(map(md5, stored(faults))) == sorted(map(md5, two_large.bodies))
    assert not f.hits or sum("partNumber=" in p for _, p in faults.seen) >= 5


# ---- one large object, several ranges at once ----

PIECES = r"/files/md5/../\w{30}$"


@pytest.fixture
def large(make_repo, faults, s3):
    """A repository whose one object of 50 MB is on the remote and nowhere else."""
    r = make_repo()
    faults.place.add_to(r)
    r.gd("remote", "modify", "r", "endpointurl", s3.url)
    r.body = os.urandom(50_000_017)
    r.write("big", r.body)
    r.gd("add", "big")
    r.gd("push")
    r.gd("remote", "modify", "r", "endpointurl", faults.url)
    r.rm(".dvc/cache")
    r.rm("big")
    return r


def whole(r):
    assert r.read("big") == r.body
    assert [data == r.body for _, data in r.cache().values()] == [True]
    sound(r)


def test_a_large_download_comes_in_ranges(large, faults):
    large.gd("pull")
    whole(large)
    assert faults.ranges[0] == "" and sorted(faults.ranges[1:]) == [
        "bytes=16777216-33554431", "bytes=33554432-50000016"]
    assert not list((large.path / ".dvc/cache/files/md5").glob("*/*.tmp"))


class From:
    """Takes the questions for objects from the n-th on, `times` of them."""

    def __init__(self, n, times=10**9):
        self.n, self.times, self.count, self.hits = n, times, 0, 0

    def __call__(self, method, path):
        self.count += method == "GET" and "/files/md5/" in path
        hit = method == "GET" and self.count >= self.n and self.hits < self.times
        self.hits += hit
        return hit


@pytest.mark.parametrize("do,arg", [("cut", {"after": 5_000_000}), ("drop", {}), ("status", {"status": 503}), ("short", {}),
                                    ("nolength", {}), ("flip", {}), ("stall", {"seconds": 3})])
def test_ranges_through_faults(large, faults, do, arg):
    if do == "stall":
        large.gd("remote", "modify", "r", "read_timeout", "1")
    second = faults.fault(do=do, **arg).takes = From(2, 1)
    large.gd("pull")
    assert second.hits == 1
    whole(large)


def test_a_server_that_ignores_ranges_gives_the_whole(large, faults):
    """It answers 200 and all bytes to a question for some: the download begins again, in one exchange."""
    wrong = faults.fault(do="status", status=200, body=large.body).takes = From(2, 1)
    large.gd("pull")
    assert wrong.hits == 1 and faults.ranges[-1] == ""
    whole(large)


def test_every_range_is_wrong_and_nothing_is_named(large, faults):
    faults.fault(do="flip", method="GET", path=PIECES, every=1)
    p = large.gd("fetch", code=1)
    assert md5(large.body) in p.err and not large.cache()


def killed(r, faults):
    """A download that was killed when much of it was there: its file."""
    faults.fault(do="stall", seconds=20).takes = From(3)    # it cannot come to its end
    p = subprocess.Popen([GIT_DATA, "fetch"], cwd=r.path, env=r.env, stderr=subprocess.DEVNULL)
    end, left = time.time() + 30, []
    while time.time() < end and not (left and sum(left[0].read_bytes()[len(r.body):-32]) >= 30):
        left = [f for f in r.path.glob(".dvc/cache/**/.*.tmp") if f.stat().st_size > len(r.body)]
        time.sleep(0.02)
    p.kill()
    p.wait()
    faults.clear()
    assert len(left) == 1
    return left[0]


def test_a_killed_download_in_ranges_moves_only_the_rest(large, faults):
    left = killed(large, faults)
    state = left.read_bytes()[len(large.body):-32]
    assert len(state) == 48 and set(state) <= {0, 1} and sum(state) >= 30
    faults.sent = 0
    large.gd("pull")
    whole(large)
    assert all(faults.ranges) and faults.sent <= (48 - sum(state)) << 20
    assert not left.exists()


def test_a_part_that_was_damaged_costs_a_download(large, faults):
    """What an earlier process left is believed by the digest alone."""
    left = killed(large, faults)
    left.chmod(0o644)
    with open(left, "r+b") as o:
        o.seek(1000)
        o.write(b"damaged")
    large.gd("pull")
    whole(large)


# ---- gc: many objects in one request ----

@pytest.fixture
def stale(make_repo, faults, s3):
    """stale(n): a repository whose remote has n objects to remove, one of them a manifest, and 3 in use."""
    def make(n):
        r = make_repo()
        faults.place.add_to(r)
        r.gd("remote", "modify", "r", "endpointurl", s3.url)
        for i in range(n):
            r.write(f"d/{i}", b"%d" % i)
        r.gd("add", "d")
        r.gd("push")
        r.rm("d")
        r.write("d/1", b"1")
        r.write("d/new", b"new")
        r.gd("add", "d")
        r.gd("push")
        r.gd("remote", "modify", "r", "endpointurl", faults.url)
        assert len(faults.place.keys()) == n + 3
        return r
    return make


def collected(r, faults, **kw):
    p = r.gd("gc", "-w", "-c", "-f", **kw)
    asked = [(m, path) for m, path in faults.seen if m in ("POST", "DELETE")]
    return p, sum(m == "POST" for m, _ in asked), sum(m == "DELETE" for m, _ in asked)


def test_gc_deletes_a_thousand_objects_by_a_request(stale, faults):
    r = stale(1100)
    _, posts, deletes = collected(r, faults)
    assert len(faults.place.keys()) == 3
    assert posts == 2 and deletes == 1, "1,099 files in two requests, the one manifest before them"
    r.rm(".dvc/cache")
    r.rm("d")
    r.gd("pull")
    assert r.read("d/1") == b"1" and r.read("d/new") == b"new"


@pytest.mark.parametrize("status,code", [(501, "NotImplemented"), (405, "MethodNotAllowed"), (400, "MalformedXML"),
                                         (403, "AccessDenied")])
def test_gc_asks_for_each_where_that_is_refused(stale, faults, status, code):
    r = stale(60)
    f = faults.fault(do="status", status=status, code=code, method="POST", path="delete", every=1)
    g = faults.fault(do="status", status=503, method="DELETE", times=3)
    _, posts, deletes = collected(r, faults)
    assert f.hits == posts == 1 and g.hits == 3
    assert deletes >= 60 + 3
    assert len(faults.place.keys()) == 3


def test_gc_asks_again_for_what_may_pass(stale, faults):
    error = ("<Error><Key>{}</Key><Code>{}</Code><Message>by the proxy</Message></Error>")
    body = f"<DeleteResult>{error.format('x', 'InternalError')}{error.format('y', 'NoSuchKey')}</DeleteResult>"
    f = faults.fault(do="status", status=200, body=body.encode(), method="POST", path="delete", times=1)
    _, posts, deletes = collected(stale(60), faults)
    assert f.hits == 1 and posts == 2 and deletes == 1
    assert len(faults.place.keys()) == 3


def test_gc_names_an_object_that_may_not_be_deleted(stale, faults):
    prefix = faults.place.url.split("/")[-1]
    kept = key_of(b"7")         
    error = f"<Error><Key>{prefix}/{kept}</Key><Code>AccessDenied</Code><Message>by the proxy</Message></Error>"
    body = f'<?xml version="1.0"?><DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{error * 2}</DeleteResult>'
    faults.fault(do="status", status=200, body=body.encode(), method="POST", path="delete", every=1)
    p, _, _ = collected(stale(60), faults, code=None)
    assert p.code not in (0, 252) and f"cannot remove '{kept}' and 1 others: AccessDenied" in p.err


def test_gc_believes_no_page_of_another_kind(stale, faults):
    """A proxy's friendly page with status 200 is no answer."""
    faults.fault(do="status", status=200, body=b"<html>welcome</html>", method="POST", path="delete", every=1)
    _, posts, deletes = collected(stale(60), faults)
    assert posts == 1 and deletes == 60 and len(faults.place.keys()) == 3
