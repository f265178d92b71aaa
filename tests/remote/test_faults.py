"""A proxy between the tool and a real S3 server misbehaves: every case ends complete, or with an exact list of what failed;
nothing corrupt is ever named."""
import hashlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

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


def test_a_cut_listing_is_not_believed(data, faults):
    data.gd("push")
    for do in ("truncate", "cut"):
        f = faults.fault(do=do, method="GET", path="list-type=2", times=2, after=300)
        for i in range(40):
            data.write(f"more/{do}{i}", f"{do}{i}")
        data.gd("add", "more")
        data.gd("push", "--check")
        complete(data, faults)
        assert data.gd("push").out == "Everything is up to date.\n"
        faults.clear()
        assert f is not None


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
