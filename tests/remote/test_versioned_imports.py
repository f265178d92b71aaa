"""import-url of a source that keeps versions: what is recorded, brought back and updated is one version, by each tool."""
import json

import pytest

from servers import s3 as s3_server

_count = iter(range(10**9))


class Source:
    def __init__(self, s3):
        self.client, self.endpoint, self.bucket = s3.client, s3.url, f"versioned-source-{next(_count)}"
        self.client.create_bucket(Bucket=self.bucket)
        self.client.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        self.url = f"s3://{self.bucket}"

    def put(self, key, data):
        return self.client.put_object(Bucket=self.bucket, Key=key, Body=data)["VersionId"]

    def version(self, key):
        return self.client.head_object(Bucket=self.bucket, Key=key)["VersionId"]

    def repo(self, make_repo, name="repo"):
        r = make_repo(name)
        r.env.update(AWS_ACCESS_KEY_ID=s3_server.ACCESS, AWS_SECRET_ACCESS_KEY=s3_server.SECRET,
                     AWS_DEFAULT_REGION="us-east-1", AWS_ENDPOINT_URL=self.endpoint)
        r.gd("remote", "add", "-q", "src", self.url)
        r.gd("remote", "modify", "src", "version_aware", "true")
        return r


@pytest.fixture
def source(s3):
    s = Source(s3)
    s.put("f", b"1\n")
    s.put("d/a", b"a\n")
    s.put("d/sub/b", b"bb\n")
    return s


def imported(make_repo, source, name="repo", tool="gd"):
    r = source.repo(make_repo, name)
    r.tool(tool, "import-url", "--version-aware", f"{source.url}/f")
    r.tool(tool, "import-url", "--version-aware", f"{source.url}/d")
    r.tool(tool, "import-url", "remote://src/d", "e")
    r.tool(tool, "import-url", "--version-aware", "--no-download", f"{source.url}/d", "later")
    return r


POINTERS = ("f.dvc", "d.dvc", "e.dvc", "later.dvc")


def test_pointers_are_dvcs(make_repo, source):
    a, b = imported(make_repo, source, "a"), imported(make_repo, source, "b", "dvc")
    for name in POINTERS:
        assert a.text(name) == b.text(name)
    assert f"version_id: {source.version('f')}\n" in a.text("f.dvc")
    assert a.text("d.dvc").count("version_id") == 2 and "  push: false\n" in a.text("d.dvc")


@pytest.mark.parametrize("importer", ["gd", "dvc"])
def test_pull_brings_the_recorded_version(make_repo, source, importer):
    r = imported(make_repo, source, tool=importer)
    source.put("f", b"2\n")
    source.put("d/a", b"aa\n")
    source.put("d/new", b"n\n")
    for name in ("f", "d", "e", ".dvc/cache"):
        r.rm(name)
    r.gd("pull")
    assert r.read("f") == b"1\n"
    for name in ("d", "e", "later"):
        assert r.snapshot(name) == {f"{name}/a": b"a\n", f"{name}/sub/b": b"bb\n"}
    assert r.gd("fetch").out.endswith("Everything is up to date.\n")


def test_what_has_no_such_version_any_more_is_not_replaced(make_repo, source):
    r = imported(make_repo, source)
    old = source.version("f")
    source.put("f", b"2\n")
    source.client.delete_object(Bucket=source.bucket, Key="f", VersionId=old)
    for name in ("f", ".dvc/cache"):
        r.rm(name)
    r.gd("pull", "f.dvc", code=1)
    assert not r.exists("f")


def test_a_version_with_other_content_than_recorded_is_refused(make_repo, source):
    r = imported(make_repo, source)
    old, new = source.version("f"), source.put("f", b"2\n")
    r.write("f.dvc", r.text("f.dvc").replace(old, new))
    for name in ("f", ".dvc/cache"):
        r.rm(name)
    assert "has other content than 'f.dvc' records" in r.gd("pull", "f.dvc", code=1).err
    assert not r.exists("f")


def test_status_tells_newer_versions(make_repo, source):
    r = imported(make_repo, source)
    r.rm("later.dvc")
    assert r.gd("status").out == r.dvc("status").out == "Data and pipelines are up to date.\n"
    source.put("f", b"1\n")
    source.put("d/a", b"aa\n")
    mine = json.loads(r.gd("status", "--json").out)
    assert mine == json.loads(r.dvc("status", "--json").out)
    assert mine["f.dvc"] == [{"changed deps": {f"{source.url}/f": "update available"}}]
    assert mine["d.dvc"] == [{"changed deps": {f"{source.url}/d": "modified"}}]
    assert r.gd("status", "--no-updates").out == "Data and pipelines are up to date.\n"


def test_update(make_repo, source):
    old = source.version("f")
    a, b = imported(make_repo, source, "a"), imported(make_repo, source, "b")
    source.put("f", b"2\n")
    source.put("d/a", b"aa\n")
    source.client.delete_object(Bucket=source.bucket, Key="d/sub/b")
    for args in (["f.dvc"], ["f.dvc"], ["d.dvc", "e.dvc"], ["--rev", old, "f.dvc"], ["--rev", old, "f.dvc"],
                 ["--no-download", "f.dvc"], ["f.dvc"]):
        # DVC walks a set of stages: two of them come in an order that changes from run to run.
        assert sorted(a.gd("update", *args).out.splitlines()) == sorted(b.dvc("update", *args).out.splitlines())
        for name in POINTERS:
            assert a.text(name) == b.text(name)
        assert a.snapshot("d") == b.snapshot("d")
        assert a.gd("status").out == b.dvc("status").out
    assert a.read("f") == b"2\n" and not a.exists("d/sub")


def test_a_newer_version_of_the_same_content(make_repo, source):
    a, b = imported(make_repo, source, "a"), imported(make_repo, source, "b")
    source.put("f", b"1\n")
    assert a.gd("update", "f.dvc").out == b.dvc("update", "f.dvc").out
    assert a.text("f.dvc") == b.text("f.dvc") and source.version("f") in a.text("f.dvc")


def test_push_leaves_it_out(make_repo, source, tmp_path):
    r = imported(make_repo, source)
    r.write("own", b"own\n")
    r.gd("add", "own")
    r.gd("remote", "add", "-q", "-d", "up", str(tmp_path / "up"))
    assert r.gd("push").out == "1 file pushed\n"


@pytest.mark.parametrize("args", [["--version-aware"], ["--version-aware", "--no-exec"]])
def test_what_keeps_no_versions_is_refused(make_repo, tmp_path, args):
    r = make_repo()
    (tmp_path / "x").write_bytes(b"x\n")
    assert "keeps no versions" in r.gd("import-url", *args, str(tmp_path / "x"), code=255).err
    assert not r.exists("x.dvc") and not r.exists("x")
