"""Remotes that keep files under their own names with versions (version_aware, worktree), by each tool for the other."""
import re

import pytest

from servers import s3 as s3_server

_count = iter(range(10**9))


@pytest.fixture(params=["version_aware", "worktree"])
def versioned(request, s3):
    bucket = f"versions-{request.param.replace('_', '-')}-{next(_count)}"
    s3.client.create_bucket(Bucket=bucket)
    s3.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    class Place:
        def add_to(self, repo, prefix):
            repo.gd("remote", "add", "-q", "-d", "va", f"s3://{bucket}/{prefix}")
            repo.gd("remote", "modify", "va", "endpointurl", s3.url)
            repo.gd("remote", "modify", "va", request.param, "true")
            repo.gd("remote", "modify", "--local", "va", "access_key_id", s3_server.ACCESS)
            repo.gd("remote", "modify", "--local", "va", "secret_access_key", s3_server.SECRET)

        def keys(self):
            return sorted(o["Key"] for o in s3.client.list_objects_v2(Bucket=bucket).get("Contents", []))

        def read(self, key, version):
            return s3.client.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"].read()

    return Place()


def filled(make_repo, place, name="pre"):
    r = make_repo(name)
    place.add_to(r, name)
    r.write("d/a", b"1\n")
    r.write("d/sub/b", b"2\n")
    r.write("f", b"3\n")
    r.gd("add", "d", "f")
    return r


def shape(text):
    return re.sub(r"version_id: .*", "version_id: X", text)


@pytest.mark.parametrize("pusher,puller", [("gd", "gd"), ("gd", "dvc"), ("dvc", "gd")])
def test_push_then_pull(make_repo, versioned, pusher, puller):
    r = filled(make_repo, versioned)
    before = r.snapshot("d")
    assert r.tool(pusher, "push").out == "3 files pushed\n"
    assert versioned.keys() == ["pre/d/a", "pre/d/sub/b", "pre/f"]
    assert "cloud:\n      va:\n        etag: b026324c6904b2a9cb4b88d6d61c81d1\n" in r.text("d.dvc")
    for name in ("d", "f", ".dvc/cache"):
        r.rm(name)
    r.tool(puller, "pull")
    assert r.snapshot("d") == before and r.read("f") == b"3\n"
    assert r.gd("push").out == "Everything is up to date.\n"


def test_pointers_have_dvcs_shape(make_repo, versioned):
    a, b = filled(make_repo, versioned, "a"), filled(make_repo, versioned, "b")
    a.gd("push")
    b.dvc("push")
    for name in ("d.dvc", "f.dvc"):
        assert shape(a.text(name)) == shape(b.text(name))


def test_an_old_pointer_finds_the_old_version(make_repo, versioned):
    r = filled(make_repo, versioned)
    r.gd("push")
    r.commit("old")
    r.write("d/a", b"changed\n")
    r.gd("add", "d")
    assert r.gd("push").out == "1 file pushed\n"
    assert r.text("d.dvc").count("version_id") == 2
    r.git("checkout", "-q", "HEAD", "--", "d.dvc")
    for name in ("d", ".dvc/cache"):
        r.rm(name)
    r.gd("pull")
    assert r.read("d/a") == b"1\n"


def test_what_needs_plain_remotes_is_refused(make_repo, versioned):
    r = filled(make_repo, versioned)
    assert "unsupported for cloud versioned remotes" in r.gd("push", "-a", code=1).err
    assert "unsupported for cloud versioned remotes" in r.gd("status", "-c", code=1).err
