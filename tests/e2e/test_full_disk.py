"""A file system that stops taking bytes: nothing partial is named, the user's bytes stay, the next run converges.

RLIMIT_FSIZE makes every write beyond N bytes of one file fail (EFBIG), which needs no root and can be placed exactly;
where a tmpfs may be mounted, a really full one is used too (ENOSPC).
"""
import hashlib
import os
import resource
import shutil
import signal
import subprocess

import pytest

from harness import GIT_DATA


def limited(repo, size, *argv):
    def pre():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    return subprocess.run([GIT_DATA, *argv], cwd=repo.path, env=repo.env, capture_output=True, text=True,
                          preexec_fn=pre, timeout=60)


def sound(repo):
    """Every named object has the bytes its name says."""
    for name, (mode, data) in repo.cache().items():
        if name.startswith("files/md5/") and mode == "0o444":
            assert hashlib.md5(data).hexdigest() == name[10:12] + name[13:43]


@pytest.fixture
def data(repo):
    repo.write("data/small", b"s" * 100)
    repo.write("data/mid", b"m" * 60000)
    repo.write("data/big", b"b" * 3_000_000)
    repo.write("one.bin", b"o" * 2_000_000)
    return repo


@pytest.mark.parametrize("size", [1, 50, 4096, 59999, 65536, 1_000_000, 1_999_999, 2_999_999])
def test_add_when_writing_fails(data, size):
    before = {n: data.read(n) for n in ("data/small", "data/mid", "data/big", "one.bin")}
    p = limited(data, size, "add", "-q", "data", "one.bin")
    assert p.returncode not in (0, -11, -6), p.stderr
    assert {n: data.read(n) for n in before} == before
    assert not data.exists("data.dvc") or size >= 3_000_000
    sound(data)
    data.gd("add", "-q", "data", "one.bin")
    assert data.gd("status", "--json").json == {}
    sound(data)


def test_the_message_names_the_file_and_the_cause(data):
    p = limited(data, 100_000, "add", "data")
    assert p.returncode == 1 or p.returncode == 255
    assert "File too large" in p.stderr and "big" in p.stderr, p.stderr


@pytest.mark.parametrize("size", [1, 4096, 70_000, 2_500_000])
def test_checkout_when_writing_fails(data, size):
    data.gd("add", "-q", "data", "one.bin")
    shutil.rmtree(data.path / "data")
    p = limited(data, size, "checkout", "-q")
    assert p.returncode != 0
    for name in ("data/small", "data/mid", "data/big"):
        if data.exists(name):
            assert len(data.read(name)) in (100, 60000, 3_000_000), f"{name} is there in part"
    data.gd("checkout", "-q")
    assert data.gd("status", "--json").json == {}


def test_push_and_pull_when_writing_fails(data, tmp_path):
    data.gd("remote", "add", "-q", "-d", "st", str(tmp_path / "st"))
    data.gd("add", "-q", "data", "one.bin")
    p = limited(data, 100_000, "push")
    assert p.returncode != 0 and ("big" in p.stderr or "one.bin" in p.stderr), p.stderr
    for d, _, names in os.walk(tmp_path / "st"):
        for n in names:
            if not n.endswith((".tmp", ".dir")):
                assert hashlib.md5(open(os.path.join(d, n), "rb").read()).hexdigest() == d[-2:] + n
            assert not n.endswith(".dir"), "a manifest is there without all its children"
    data.gd("push", "-q")
    shutil.rmtree(data.path / ".dvc/cache")
    p = limited(data, 100_000, "fetch")
    assert p.returncode != 0
    sound(data)
    data.gd("fetch", "-q")
    sound(data)
    assert data.gd("status", "--json").json == {}


def test_metadata_that_cannot_be_written_leaves_the_old_one(data):
    data.gd("add", "-q", "one.bin")
    old = data.read("one.bin.dvc")
    data.write("one.bin", b"x")
    p = limited(data, 20, "add", "-q", "one.bin")
    assert p.returncode != 0
    assert data.read("one.bin.dvc") == old
    assert data.read("one.bin") == b"x"


def test_standard_output_that_is_full_is_an_error(data):
    data.gd("add", "-q", "data", "one.bin")
    data.write("one.bin", b"changed")
    with open("/dev/full", "w") as full:
        p = subprocess.run([GIT_DATA, "status", "--json"], cwd=data.path, env=data.env, stdout=full,
                           stderr=subprocess.PIPE, text=True)
    assert p.returncode == 255 and "No space left" in p.stderr


def test_reader_that_has_gone_is_141(data):
    for i in range(300):
        data.write(f"f{i}", str(i))
    data.gd("add", "-q", *[f"f{i}" for i in range(300)])
    for i in range(300):
        data.write(f"f{i}", b"changed")
    p = subprocess.Popen([GIT_DATA, "status"], cwd=data.path, env=data.env, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    p.stdout.close()
    err = p.stderr.read()
    assert p.wait() == 141, err
    assert err == b""
