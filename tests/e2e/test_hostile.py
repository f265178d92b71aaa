"""A repository from somebody else: names and links that would lead checkout out of the work tree, or into .git and .dvc.

Every case must end with a non-zero exit (never a crash), and nothing outside the work tree's own data may have changed.
"""
import hashlib
import json
import os

import pytest


def md5(data):
    return hashlib.md5(data).hexdigest()


def put(r, data, suffix=""):
    """An object in the cache under its true name."""
    h = md5(data) + suffix
    r.write(f".dvc/cache/files/md5/{h[:2]}/{h[2:]}", data, 0o444)
    return h


def manifest(r, entries, raw=None):
    text = raw if raw is not None else json.dumps([{"md5": h, "relpath": p} for p, h in entries])
    return put(r, text.encode() if isinstance(text, str) else text, ".dir")


def pointer(r, h, path, name="evil.dvc"):
    size = "  nfiles: 1\n" if h.endswith(".dir") else ""
    r.write(name, f"outs:\n- md5: {h}\n  size: 4\n{size}  hash: md5\n  path: {json.dumps(path)}\n")


def everything(top):
    """Every file below, .git and .dvc too, but not the locks, the state and the cache."""
    out = {}
    for d, dirs, files in os.walk(top):
        rel = os.path.relpath(d, top)
        dirs[:] = [x for x in dirs if os.path.normpath(os.path.join(rel, x)) not in (".dvc/tmp", ".dvc/cache")]
        for f in files + [x for x in dirs if os.path.islink(os.path.join(d, x))]:
            p = os.path.join(d, f)
            out[os.path.relpath(p, top)] = os.readlink(p) if os.path.islink(p) else open(p, "rb").read()
    return out


@pytest.fixture
def outside(tmp_path):
    d = tmp_path / "outside"
    d.mkdir()
    (d / "precious").write_bytes(b"precious\n")
    return d


def refused(r, *args, code=None, timeout=60):
    said = r.gd(*args, code=code, timeout=timeout)
    assert said.code in (1, 255) if code is None else True, repr(said)
    assert "ERROR" in said.err and "Sanitizer" not in said.err, repr(said)
    return said


BAD_NAMES = ["../x", "../../x", "/etc/x", "/tmp/x", ".git/hooks/post-checkout", "a/../../x", "a/.git/config", ".GIT/config",
             ".dvc/config", "sub/.dvc/config", "a//b", "a/./b", "./a", "a/", "", ".", "..", "a/..", "a\x00b"]


@pytest.mark.parametrize("name", BAD_NAMES, ids=[repr(n) for n in BAD_NAMES])
@pytest.mark.parametrize("args", [("checkout",), ("checkout", "-f"), ("checkout", "--relink", "-f")], ids=" ".join)
def test_a_manifest_cannot_name_what_lies_elsewhere(repo, tmp_path, name, args):
    h = put(repo, b"evil")
    pointer(repo, manifest(repo, [("ok", h), (name, h)]), "data")
    repo.write("data/mine", "mine\n")
    before, around = everything(repo.path), set(os.listdir(tmp_path)) - {"site"}
    refused(repo, *args)
    assert everything(repo.path) == before
    assert set(os.listdir(tmp_path)) - {"site"} == around
    assert not os.path.exists("/etc/x") and not os.path.exists("/tmp/x")


@pytest.mark.parametrize("path", ["../x", "../../x", "/etc/x", ".git/hooks/post-checkout", ".dvc/config", ".git", ".dvc",
                                  "a/../.git/config", "sub/.git/hooks/pre-commit"])
def test_an_output_cannot_lie_elsewhere(repo, tmp_path, path):
    h = put(repo, b"evil")
    pointer(repo, h, path)
    before, around = everything(repo.path), set(os.listdir(tmp_path)) - {"site"}
    repo.gd("checkout", "-f", code=None)
    assert everything(repo.path) == before
    assert set(os.listdir(tmp_path)) - {"site"} == around
    assert not os.path.exists("/etc/x")


def test_published_trace_of_the_hook(repo):
    """hookdir -> .git/hooks, and an output hookdir/pre-commit: code would run at the next commit."""
    h = put(repo, b"#!/bin/sh\ntouch owned\n")
    os.symlink(".git/hooks", repo.path / "hookdir")
    pointer(repo, h, "hookdir/pre-commit")
    repo.write("evil.dvc", repo.text("evil.dvc").replace("  hash: md5", "  isexec: true\n  hash: md5"))
    before = everything(repo.path)
    refused(repo, "checkout")
    refused(repo, "checkout", "-f")
    assert everything(repo.path) == before


def test_published_trace_of_the_write_outside(repo, outside):
    h = put(repo, b"evil")
    os.symlink(outside, repo.path / "link")
    pointer(repo, h, "link/precious")
    pointer(repo, manifest(repo, [("precious", h), ("new", h)]), "link/dir", "evil2.dvc")
    for args in (("checkout",), ("checkout", "-f"), ("checkout", "--relink", "-f")):
        refused(repo, *args)
        assert os.listdir(outside) == ["precious"]
        assert (outside / "precious").read_bytes() == b"precious\n"


def test_a_tracked_directory_that_is_a_link(repo, outside):
    """Neither written through nor emptied through, with force or without."""
    h = put(repo, b"evil")
    (outside / "extra").write_bytes(b"extra\n")
    os.symlink(outside, repo.path / "data")
    pointer(repo, manifest(repo, [("precious", h)]), "data")
    for args in (("checkout",), ("checkout", "-f")):
        refused(repo, *args)
        assert (outside / "precious").read_bytes() == b"precious\n"
        assert (outside / "extra").read_bytes() == b"extra\n"


def test_a_link_inside_a_tracked_directory(repo, outside):
    h = put(repo, b"evil")
    (repo.path / "data").mkdir()
    os.symlink(outside, repo.path / "data/sub")
    pointer(repo, manifest(repo, [("sub/precious", h)]), "data")
    for args in (("checkout",), ("checkout", "-f")):
        refused(repo, *args)
        assert (outside / "precious").read_bytes() == b"precious\n"
        assert os.listdir(outside) == ["precious"]


def test_a_link_where_a_file_belongs_is_replaced_not_followed(repo, outside):
    h = put(repo, b"evil")
    os.symlink(outside / "precious", repo.path / "f")
    pointer(repo, h, "f", "f.dvc")
    repo.gd("checkout", "-f")
    assert not os.path.islink(repo.path / "f") and repo.read("f") == b"evil"
    assert (outside / "precious").read_bytes() == b"precious\n"


@pytest.mark.parametrize("what", ["twice", "file and directory", "not sorted"])
def test_names_that_cannot_be_together(repo, what):
    h, k = put(repo, b"evil"), put(repo, b"good")
    entries = {"twice": [("a", h), ("a", k)], "file and directory": [("a", h), ("a/b", k)],
               "not sorted": [("b", h), ("a", k)]}[what]
    pointer(repo, manifest(repo, entries), "data", "data.dvc")
    said = repo.gd("checkout", code=None)
    if what == "not sorted":
        assert said.code in (0, 255)
    else:
        assert said.code in (1, 255) and "ERROR" in said.err


@pytest.mark.parametrize("raw", ["", "{", "[", "[1]", "[[]]", "{}", "null", '[{"md5": 1, "relpath": "a"}]', '[{"md5": "zz", "relpath": "a"}]',
                                 '[{"relpath": "a"}]', '[{"md5": "d41d8cd98f00b204e9800998ecf8427e"}]', "[" * 100000,
                                 '[{"md5": "d41d8cd98f00b204e9800998ecf8427e", "relpath": "\\ud800"}]', "\xff\xfe", "[]garbage"],
                         ids=range(15))
def test_a_manifest_that_is_none(repo, raw):
    pointer(repo, manifest(repo, [], raw), "data", "data.dvc")
    repo.write("data/mine", "mine\n")
    for args in (("checkout",), ("status",), ("data", "status", "--granular"), ("diff",), ("list", ".", "-R"),
                 ("gc", "-w", "--dry")):
        said = repo.gd(*args, code=None, timeout=60)
        assert said.code in (0, 1, 255), repr(said)
    assert repo.read("data/mine") == b"mine\n"


@pytest.mark.parametrize("depth", [2000, 20000])
def test_great_depth(repo, depth):
    h = put(repo, b"deep")
    name = "/".join(["d"] * depth) + "/f"
    pointer(repo, manifest(repo, [(name, h)]), "data", "data.dvc")
    said = repo.gd("checkout", code=None, timeout=60)
    assert said.code in (0, 1, 255) and (depth < 4000 or "ERROR" in said.err)
    for args in (("status",), ("data", "status", "--granular"), ("list", ".", "-R")):
        assert repo.gd(*args, code=None, timeout=60).code in (0, 1, 255)
    repo.run(["rm", "-rf", "data"])         # deeper than what pytest's own clean-up can recurse


def test_a_component_too_long(repo):
    h = put(repo, b"long")
    pointer(repo, manifest(repo, [("x" * 300, h)]), "data", "data.dvc")
    refused(repo, "checkout")


def test_a_corrupt_object_is_not_given_out(repo):
    repo.write("f", "good\n")
    repo.gd("add", "-q", "f")
    p = next(x for x in (repo.path / ".dvc/cache").rglob("*") if x.is_file() and x.read_bytes() == b"good\n")
    repo.rm("f")
    p.chmod(0o644)
    p.write_bytes(b"evil\n")
    said = repo.gd("checkout", code=255)
    assert "Checkout failed for following targets:\nf\n" in said.err
    assert not repo.exists("f")


def test_control_bytes_in_names_do_not_reach_a_pipe_as_escape_of_the_terminal(repo):
    """On a pipe names are bytes; nothing crashes."""
    name = "a\x1b[31mb\nc"
    h = put(repo, b"x")
    pointer(repo, manifest(repo, [(name, h)]), "data", "data.dvc")
    repo.gd("checkout")
    assert repo.read(f"data/{name}") == b"x"
    assert json.loads(repo.gd("data", "status", "--granular", "--json").out) is not None


def test_a_hostile_source_url_is_no_option(repo):
    repo.write("i.dvc", "md5: 0123456789abcdef0123456789abcdef\nfrozen: true\ndeps:\n- path: x\n  repo:\n"
               "    url: --upload-pack=touch owned\n    rev_lock: 0123456789012345678901234567890123456789\n"
               "outs:\n- path: x\n")
    repo.gd("status", code=None)
    repo.gd("list", "--", "--upload-pack=touch owned", code=None)
    assert not repo.exists("owned")


# ---- races ----

def test_a_file_changed_meanwhile_is_not_lost(repo):
    """Somebody writes into the file that a checkout is about to replace: either it is refused, or the new text stays."""
    repo.write("f", "one\n")
    repo.gd("add", "-q", "f")
    repo.write("f", "two\n")
    repo.gd("add", "-q", "f")
    repo.write("f", "unsaved text\n")
    said = repo.gd("checkout", code=255)
    assert "Can't remove the following unsaved files without confirmation" in said.err
    assert str(repo.path / "f") in said.err
    assert repo.read("f") == b"unsaved text\n"
