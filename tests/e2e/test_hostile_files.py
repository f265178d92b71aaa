"""Files of a repository that were made to hurt: .dvc, dvc.yaml, dvc.lock, config, the run cache, and remotes that lie.

Every case ends with a clear error or is handled; never with a crash, never with a write outside, never after a long time.
"""
import hashlib
import json
import os
import shutil

import pytest

from test_hostile import everything, manifest, md5, pointer, put

READERS = [("status",), ("data", "status"), ("checkout",), ("diff",), ("dag",), ("list", "."), ("stage", "list"), ("gc", "-w", "--dry"),
           ("repro", "--dry"), ("metrics", "show"), ("params", "diff"), ("push",), ("add", "f")]


def survives(r, *commands, timeout=60, codes=(0, 1, 251, 253, 255)):
    out = []
    for args in commands or READERS:
        said = r.gd(*args, code=None, timeout=timeout)
        assert said.code in codes and "Sanitizer" not in said.err and "runtime error" not in said.err, repr(said)[:4000]
        assert said.code == 0 or said.err.strip(), repr(said)[:4000]
        out.append(said)
    return out


def bomb(levels=9, width=9):
    s = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    for i in range(1, levels):
        s += f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]\n"
    return s


NESTED = "outs: " + "[" * 300 + "]" * 300 + "\n"
MAPS = "".join("  " * i + "a:\n" for i in range(300))
TEXTS = {
    "aliases": bomb() + "outs: *a8\n",
    "self": "outs: &a [*a]\n",
    "sequences": NESTED, "maps": MAPS,
    "flow": "outs: " + "{a: " * 100000 + "\n",
    "key": "? " + "[" * 50000 + "\n",
    "long scalar": "outs:\n- path: " + "x" * (4 << 20) + "\n",
    "quoted scalar": 'outs:\n- path: "' + "\\x41" * (1 << 20) + '"\n',
    "block scalar": "outs:\n- path: |\n" + "    line\n" * (1 << 20),
    "many outputs": "outs:\n" + "- path: a\n" * 100000,
    "nul": "outs:\n- path: a\0b\n", "escaped nul": 'outs:\n- path: "a\\0b"\n',
    "tag": "outs: !!python/object/apply:os.system [touch owned]\n", "merge": "a: &a {path: x}\nouts:\n- <<: *a\n",
    "two": "outs:\n- path: a\n---\nouts:\n- path: b\n", "list": "- a\n", "text": "hello\n", "number": "1\n", "null": "null\n", "empty": "",
    "types": "outs: 1\n", "types2": "outs:\n- 1\n", "types3": "outs:\n- path: {a: b}\n", "types4": "outs:\n- path: a\n  md5: [1]\n",
    "size": "outs:\n- path: a\n  md5: d41d8cd98f00b204e9800998ecf8427e\n  size: 99999999999999999999999999\n",
    "negative": "outs:\n- path: a\n  md5: d41d8cd98f00b204e9800998ecf8427e\n  size: -1\n  nfiles: -1\n",
    "hash up": "outs:\n- path: a\n  md5: ../../../../etc/passwd\n", "hash short": "outs:\n- path: a\n  md5: a\n",
    "hash empty": "outs:\n- path: a\n  md5: ''\n", "hash slash": "outs:\n- path: a\n  md5: /etc/passwd\n  hash: md5\n",
    "wdir": "wdir: ../..\nouts:\n- path: a\n  md5: d41d8cd98f00b204e9800998ecf8427e\n", "utf-16": "\ufeffouts:\n",
    "date": "outs:\n- path: 2001-01-01\n", "float": "outs:\n- path: 1e999999999\n", "sexagesimal": "outs:\n- path: 1:2:3:4:5:6:7\n",
    "control": "outs:\n- path: a\x1bb\n", "remote": "outs:\n- path: a\n  remote: ../x\n",
    "dots": "outs:\n- path: a/../b\n- path: ./b\n", "over": "outs:\n- path: d\n- path: d/e\n",
    "files": "outs:\n- path: d\n  md5: d41d8cd98f00b204e9800998ecf8427e.dir\n  files:\n  - relpath: ../../x\n    md5: d41d8cd98f00b204e9800998ecf8427e\n",
}


@pytest.mark.parametrize("name", ["x.dvc", "dvc.yaml", "dvc.lock"])
@pytest.mark.parametrize("what", TEXTS)
def test_a_metadata_file_made_to_hurt(repo, tmp_path, name, what):
    put(repo, b"")
    repo.write("f", "f")
    if name == "dvc.lock":
        repo.write("dvc.yaml", "stages:\n  s:\n    cmd: 'true'\n    outs: [o]\n")
    repo.write(name, TEXTS[what].encode("utf-8", "surrogatepass"))
    around = set(os.listdir(tmp_path)) - {"site"}
    slow = len(TEXTS[what]) > 100000
    survives(repo, *(READERS[:1] if slow else READERS))
    assert set(os.listdir(tmp_path)) - {"site"} == around and not repo.exists("owned")
    assert repo.read("f") == b"f"


STAGES = {
    "bomb": bomb() + "stages:\n  s:\n    cmd: *a8\n", "up": "stages:\n  s:\n    cmd: 'true'\n    outs: [../x]\n",
    "absolute": "stages:\n  s:\n    cmd: 'true'\n    outs: [/tmp/harden-x]\n", "git": "stages:\n  s:\n    cmd: 'true'\n    outs: [.git/config]\n",
    "dvc": "stages:\n  s:\n    cmd: 'true'\n    outs: [.dvc/config]\n", "matrix": "stages:\n  s:\n    matrix:\n" + "".join(
        f"      m{i}: [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]\n" for i in range(9)) + "    cmd: echo\n",
    "foreach": "stages:\n  s:\n    foreach: ${s}\n    do:\n      cmd: echo\n", "self": "vars:\n- a: ${a}\nstages:\n  s:\n    cmd: echo ${a}\n",
    "vars up": "vars: [../../../etc/passwd]\nstages: {}\n", "wdir": "stages:\n  s:\n    cmd: touch here\n    wdir: ../..\n",
    "name": "stages:\n  ../s:\n    cmd: 'true'\n", "deep": "stages:\n  s:\n    cmd: echo ${" + "a." * 100000 + "a}\n",
    "braces": "stages:\n  s:\n    cmd: echo " + "${" * 10000 + "\n", "index": "vars:\n- a: [1]\nstages:\n  s:\n    cmd: echo ${a[99999999999999999999]}\n",
    "percent": "stages:\n  s%n%s:\n    cmd: echo %n\n    deps: ['%s%n']\n", "cycle": "stages:\n  a:\n    cmd: x\n    deps: [b]\n    outs: [a]\n  b:\n    cmd: x\n    deps: [a]\n    outs: [b]\n",
    "params": "stages:\n  s:\n    cmd: 'true'\n    params: [../../../../../../etc/passwd: [x]]\n",
}


@pytest.mark.parametrize("what", STAGES)
def test_a_pipeline_made_to_hurt(repo, tmp_path, what):
    repo.write("dvc.yaml", STAGES[what])
    around, before = set(os.listdir(tmp_path)) - {"site"}, everything(repo.path / ".git")
    survives(repo, *(READERS[:1] if what == "matrix" else READERS[:9]), timeout=120)
    assert set(os.listdir(tmp_path)) - {"site"} == around
    assert everything(repo.path / ".git") == before and not os.path.exists("/tmp/harden-x")


CONFIGS = {
    "nul": b"[core]\n    remote = a\0b\n", "huge line": b"[core]\n    remote = " + b"x" * (3 << 20) + b"\n", "huge": b"#" * (9 << 20),
    "sections": b"[" * 100000 + b"\n", "many": b"".join(b"['remote \"r%d\"']\n    url = /x\n" % i for i in range(2000)),
    "loop": b"['remote \"a\"']\n    url = remote://b/x\n['remote \"b\"']\n    url = remote://a/x\n[core]\n    remote = a\n",
    "self": b"['remote \"a\"']\n    url = remote://a/x\n[core]\n    remote = a\n", "bytes": b"\xff\xfe\x00\x01", "triple": b"[core]\n    remote = '\'\'\'\n",
    "cache dir": b"[cache]\n    dir = ../../outside\n", "scheme": b"['remote \"a\"']\n    url = ext::touch owned\n[core]\n    remote = a\n",
    "option": b"['remote \"a\"']\n    url = ssh://-oProxyCommand=touch%20owned/x\n[core]\n    remote = a\n",
    "cr": b"[core]\r\n    remote = a\r\n", "lines": b"\n" * (1 << 20), "percent": b"[core]\n    remote = %(x)s%n\n",
}


@pytest.mark.parametrize("level", ["config", "config.local"])
@pytest.mark.parametrize("what", CONFIGS)
def test_a_configuration_made_to_hurt(repo, what, level):
    repo.write("f", "f")
    repo.gd("add", "-q", "f")
    repo.write(f".dvc/{level}", CONFIGS[what])
    survives(repo, ("status",), ("push",), ("fetch",), ("config", "-l"), ("remote", "list"), ("config", "core.remote"), ("checkout",),
             ("config", "core.analytics", "false"), timeout=60)
    assert not repo.exists("owned") and repo.read("f") == b"f"


def remote_with(repo, tmp_path, **files):
    top = tmp_path / "store"
    repo.gd("remote", "add", "-q", "-d", "r", str(top))
    return top


@pytest.mark.parametrize("lie", ["other", "short", "long", "empty", "directory", "link", "fifo"])
def test_a_remote_that_lies(repo, tmp_path, lie):
    top = remote_with(repo, tmp_path)
    repo.write("f", "the right bytes\n")
    repo.gd("add", "-q", "f")
    repo.gd("push", "-q")
    obj = next(p for p in top.rglob("*") if p.is_file())
    obj.chmod(0o644)
    if lie in ("directory", "link", "fifo"):
        obj.unlink()
        {"directory": obj.mkdir, "link": lambda: obj.symlink_to("/etc/passwd"), "fifo": lambda: os.mkfifo(obj)}[lie]()
    else:
        obj.write_bytes({"other": b"the wrong bytes\n", "short": b"the right", "long": b"the right bytes\n" * 2, "empty": b""}[lie])
    shutil.rmtree(repo.path / ".dvc/cache")
    repo.rm("f")
    said, = survives(repo, ("pull",), timeout=30)
    assert said.code != 0 and not repo.exists("f"), repr(said)
    assert not [d for m, d in repo.cache().values()], "nothing under a false name"
    said, = survives(repo, ("fetch",), timeout=30)
    assert said.code != 0


@pytest.mark.parametrize("raw", ["../../x", "/etc/x", ".git/hooks/post-checkout", ".dvc/config", "a\x00b"])
def test_a_remote_with_a_manifest_that_leads_elsewhere(repo, tmp_path, raw):
    top = remote_with(repo, tmp_path)
    h = put(repo, b"evil")
    pointer(repo, manifest(repo, [("ok", h), (raw, h)]), "data")
    shutil.move(repo.path / ".dvc/cache", top)
    before, around = everything(repo.path), set(os.listdir(tmp_path)) - {"site"}
    said, = survives(repo, ("pull",))
    assert said.code != 0
    after = {k: v for k, v in everything(repo.path).items()}
    assert after == before and set(os.listdir(tmp_path)) - {"site"} == around


RUN = "cmd: x\ndeps: []\nouts:\n- path: {}\n  hash: md5\n  md5: {}\n  size: 4\n"


@pytest.mark.parametrize("path", ["../x", "/etc/x", ".git/hooks/pre-commit", ".dvc/config", "link/precious", "other"])
def test_a_run_cache_that_leads_elsewhere(repo, tmp_path, path):
    """The entry of a stage is exchanged for one that names another output."""
    out = tmp_path / "outside"
    out.mkdir()
    (out / "precious").write_bytes(b"precious\n")
    os.symlink(out, repo.path / "link")
    h = put(repo, b"evil")
    repo.write("in", "in")
    repo.write("dvc.yaml", "stages:\n  s:\n    cmd: cp in out\n    deps: [in]\n    outs: [out]\n")
    repo.gd("repro", "-q")
    entry, = [p for p in (repo.path / ".dvc/cache/runs").rglob("*") if p.is_file()]
    text = entry.read_text()
    entry.chmod(0o644)
    entry.write_text(text.replace("path: out", f"path: {path}").replace(md5(b"in") if "outs" not in text else "\0", md5(b"in")))
    repo.rm("dvc.lock")
    repo.rm("out")
    git = everything(repo.path / ".git")
    before = {k: v for k, v in everything(repo.path / ".dvc").items() if k.startswith("config")}
    survives(repo, ("repro",))
    assert everything(repo.path / ".git") == git and (out / "precious").read_bytes() == b"precious\n"
    assert before == {k: v for k, v in everything(repo.path / ".dvc").items() if k.startswith("config")}
    assert not repo.exists("other") and not os.path.exists("/etc/x") and sorted(os.listdir(out)) == ["precious"]
    assert h and repo.read("out") == b"in"


@pytest.mark.parametrize("text", ["", "\0", "- 1\n", "outs: 1\n", bomb(), NESTED, "x" * 100000])
def test_a_run_cache_that_is_none(repo, text):
    repo.write("in", "in")
    repo.write("dvc.yaml", "stages:\n  s:\n    cmd: cp in out\n    deps: [in]\n    outs: [out]\n")
    repo.gd("repro", "-q")
    entry, = [p for p in (repo.path / ".dvc/cache/runs").rglob("*") if p.is_file()]
    entry.chmod(0o644)
    entry.write_text(text)
    repo.rm("dvc.lock")
    repo.rm("out")
    survives(repo, ("repro",))
    assert repo.read("out") == b"in"


@pytest.mark.parametrize("rev", ["-x", "--upload-pack=touch owned", "--output=owned", "-", "--", "@{-1}", "HEAD~999999999", "^HEAD", "..", "a..b",
                                 "HEAD:f", ":/x", "\x1b[31m", "x" * 50000, ""])
def test_a_revision_that_looks_like_an_option(repo, rev):
    repo.write("f", "f")
    repo.gd("add", "-q", "f")
    repo.commit()
    survives(repo, ("diff", "--", rev), ("diff", "HEAD", "--", rev) if False else ("diff", "--", "HEAD", rev), (f"list", f"--rev={rev}", "."),
             ("get", f"--rev={rev}", "-o", "g", ".", "f"), ("gc", "-w", f"--rev={rev}", "--dry"), ("params", "diff", "--", rev),
             ("metrics", "diff", "--", rev), codes=(0, 1, 251, 253, 254, 255))
    assert not repo.exists("owned")


@pytest.mark.parametrize("url", ["--upload-pack=touch owned", "-oProxyCommand=touch owned", "ext::sh -c touch% owned", "ssh://-oProxyCommand=touch owned/x",
                                 "file:///nowhere", "", "\x1b[31mred", "git@-oProxyCommand=touch:x"])
def test_a_repository_url_that_runs_something(repo, url):
    survives(repo, ("list", "--", url), ("get", "--", url, "f"), ("import", "--", url, "f"), ("get-url", "--", url, "g"),
             ("import-url", "--", url, "g"), ("list-url", "--", url), codes=(0, 1, 251, 253, 254, 255))
    assert not repo.exists("owned")


def test_objects_that_are_no_files(repo, tmp_path):
    """A cache with links, pipes and directories where objects belong."""
    repo.write("f", "f")
    repo.gd("add", "-q", "f")
    repo.rm("f")
    obj = next(p for p in (repo.path / ".dvc/cache/files").rglob("*") if p.is_file())
    for make in (lambda: obj.symlink_to("/etc/passwd"), lambda: os.mkfifo(obj), obj.mkdir, lambda: obj.symlink_to(obj)):
        obj.rmdir() if obj.is_dir() and not obj.is_symlink() else obj.unlink()
        make()
        said = survives(repo, ("checkout",), ("status",), ("push",), ("gc", "-w", "--dry"), timeout=30)
        assert said[0].code != 0 and not repo.exists("f")


def test_a_lock_file_with_thousands_of_faults(repo):
    """Each has its lines of the file in the report, which is found without reading the file from its beginning each time."""
    repo.write("dvc.yaml", "stages:\n  s:\n    cmd: x\n")
    repo.write("dvc.lock", "schema: '2.0'\nstages:\n" + "".join(f"  s{i}:\n    cmd: x\n    outs:\n    - path: o{i}\n      md5: 1\n" for i in range(4000)))
    said, = survives(repo, ("status",), timeout=60)
    assert said.code == 1 and "validation failed: 4000 errors." in said.err
    assert said.err.count("not a valid value, in stages") == 4000 and said.err.rstrip().endswith("20002 │     md5: 1"), said.err[-300:]
