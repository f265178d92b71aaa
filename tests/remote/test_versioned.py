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

        def put(self, key, data):
            s3.client.put_object(Bucket=bucket, Key=key, Body=data)

        def delete(self, key):
            s3.client.delete_object(Bucket=bucket, Key=key)

        def forget(self, key):
            for v in s3.client.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]:
                s3.client.delete_object(Bucket=bucket, Key=key, VersionId=v["VersionId"])

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
    for args in (["add", "--to-remote", "f", "-o", "g"], ["import-url", "--to-remote", "f", "g"]):
        a, b = r.gd(*args, code=None), r.dvc(*args, code=None)
        assert (a.code, a.err) == (b.code, b.err) == (1, b.err)
        assert f"'{args[0]}' is unsupported for cloud versioned remotes" in a.err and not r.exists("g.dvc")


def test_other_revisions_are_fetched(make_repo, versioned):
    """Each revision's own version of a file."""
    r = filled(make_repo, versioned)
    r.gd("push")
    r.commit("old")
    r.git("tag", "t")
    r.write("d/a", b"changed\n")
    r.write("f", b"33\n")
    r.gd("add", "d", "f")
    r.gd("push")
    r.commit("new")
    whole = r.cache()
    r.rm(".dvc/cache")
    assert r.gd("fetch").out == "3 files fetched\n" and len(r.cache()) == 4
    assert r.gd("fetch", "-T").out == "2 files fetched\n"
    assert r.cache() == whole
    r.rm(".dvc/cache")
    assert r.gd("fetch", "-A").out == "5 files fetched\n"
    assert r.cache() == whole


def test_the_lock_of_a_pipeline_has_dvcs_shape(make_repo, versioned):
    """Directories that stages depend on are listed as well as those they make; status stays clean for both tools."""
    text = {}
    for tool in ("gd", "dvc"):
        r = make_repo(tool)
        versioned.add_to(r, "pipe-" + tool)
        r.write("in/x", b"1\n")
        r.write("in/y", b"2\n")
        r.write("dvc.yaml", "stages:\n  a:\n    cmd: cp -r in out; cp in/x out/z\n    deps: [in]\n    outs: [out]\n"
                            "  b:\n    cmd: cp out/z last\n    deps: [out]\n    outs: [last]\n")
        r.gd("repro", "-q")
        r.gd("add", "-q", "in")
        r.tool(tool, "push")
        text[tool] = shape(r.text("dvc.lock"))
        assert r.gd("status").out == r.dvc("status").out == "Data and pipelines are up to date.\n"
    assert text["gd"] == text["dvc"]


@pytest.mark.parametrize("versioned", ["worktree"], indirect=True)
def test_update_takes_what_the_worktree_has_now(make_repo, versioned):
    text = {}
    for tool in ("gd", "dvc"):
        r = filled(make_repo, versioned, tool)
        r.write("d/keep", b"kept\n")
        r.gd("add", "d")
        r.gd("push")
        assert r.tool(tool, "update", "d.dvc", "f.dvc").out == ""
        versioned.put(f"{tool}/f", b"new\n")
        versioned.put(f"{tool}/d/a", b"aaa\n")
        versioned.put(f"{tool}/d/x/y", b"xy\n")
        versioned.delete(f"{tool}/d/sub/b")
        r.tool(tool, "update", "d.dvc", "f.dvc")
        assert r.snapshot("d") == {"d/a": b"aaa\n", "d/keep": b"kept\n", "d/x/y": b"xy\n"}
        assert r.read("f") == b"new\n"
        text[tool] = shape(r.text("d.dvc")) + shape(r.text("f.dvc"))
        versioned.delete(f"{tool}/f")
        assert "Could not update 'f', it does not exist in the remote" in r.tool(tool, "update", "f.dvc").err
        assert r.read("f") == b"new\n"
    assert text["gd"] == text["dvc"]


@pytest.mark.parametrize("versioned", ["worktree"], indirect=True)
def test_update_keeps_in_the_cache_what_it_replaces(make_repo, versioned):
    r = filled(make_repo, versioned)
    r.gd("push")
    r.write("d/a", b"only here\n")
    r.write("d/sub/b", b"here, too\n")
    versioned.put("pre/d/a", b"there\n")
    versioned.delete("pre/d/sub/b")
    r.gd("update", "d.dvc")
    assert r.read("d/a") == b"there\n"
    held = [data for _, data in r.cache().values()]
    assert b"only here\n" in held and b"here, too\n" in held
    assert r.gd("status").out == "Data and pipelines are up to date.\n"
    r.rm("d")
    r.gd("checkout")
    assert r.snapshot("d") == {"d/a": b"there\n"}


def test_a_version_that_is_gone_is_named(make_repo, versioned):
    r = filled(make_repo, versioned)
    r.gd("push")
    versioned.forget("pre/d/a")
    r.rm(".dvc/cache")
    said = r.gd("fetch", code=None)
    assert "WARNING: 'd/a': the recorded version is not on the remote 'va' any more" in said.err, said
    assert r.dvc("fetch", code=None).code == said.code


def test_what_the_cache_lacks_at_a_push_is_named(make_repo, versioned):
    r = filled(make_repo, versioned)
    r.rm(".dvc/cache/files/md5/b0/26324c6904b2a9cb4b88d6d61c81d1")
    said = r.gd("push", code=None)
    assert "WARNING: 'd/a' is not pushed: its content is not in the cache" in said.err, said
