"""status, data status, diff, list and du: the same questions asked by both tools of the very same repository.

A state is made once by the reference tool; then every question is put to both. Nothing here changes the repository, so one
copy serves both. Lists and maps that the reference builds from sets are compared as sets.
"""
import json
import os
import shutil

import pytest


ANSI = "\x1b["


def canon(value):
    if isinstance(value, dict):
        return {k: canon(v) for k, v in value.items()}
    if isinstance(value, list):
        return sorted((canon(v) for v in value), key=lambda v: json.dumps(v, sort_keys=True))
    return value


def lines(text):
    return sorted(text.splitlines())


def files(r, *names, under="data"):
    for n in names:
        r.write(f"{under}/{n}", f"{n}\n")


def base(r):
    files(r, "1", "2", "3", "sub/s", "sub/deep/x y", "é.txt")
    r.write("f", "f\n")
    r.write("run.sh", "#!/bin/sh\n", mode=0o755)
    r.write("m/n/o.bin", "o\n")
    r.dvc("add", "-q", "data", "f", "run.sh", "m/n/o.bin")
    r.commit("base")


def st_clean(r):
    base(r)


def st_empty(r):
    r.write("plain", "x\n")


def st_modified(r):
    base(r)
    r.write("f", "changed\n")
    r.write("data/1", "changed\n")
    r.write("data/new", "new\n")
    r.rm("data/2")


def st_deleted(r):
    base(r)
    r.rm("f")
    r.rm("data")
    r.rm("m")


def st_renamed_inside(r):
    base(r)
    os.rename(r.path / "data/1", r.path / "data/one")
    os.rename(r.path / "data/sub", r.path / "data/bus")


def st_renamed_out(r):
    base(r)
    r.git("mv", "f.dvc", "g.dvc")
    r.write("g.dvc", r.text("g.dvc").replace("path: f", "path: g"))
    os.rename(r.path / "f", r.path / "g")


def st_renamed_dir(r):
    base(r)
    r.dvc("move", "data", "moved")


def st_recorded(r):
    """New pointers, not committed to git."""
    base(r)
    r.write("data/4", "4\n")
    r.write("f", "F\n")
    r.write("fresh/x", "x\n")
    r.dvc("add", "-q", "data", "f", "fresh")
    r.git("rm", "-q", "--cached", "run.sh.dvc")
    r.rm("run.sh.dvc")


def st_object_lost(r):
    base(r)
    r.rm(object_of(r, "f.dvc"))
    r.rm(".dvc/cache/files/md5/26/ab0db90d72e28ad0ba1e22ee510510"
         if r.exists(".dvc/cache/files/md5/26/ab0db90d72e28ad0ba1e22ee510510") else object_of(r, "m/n/o.bin.dvc"))


def st_member_lost(r):
    base(r)
    import hashlib
    h = hashlib.md5(b"2\n").hexdigest()
    r.rm(f".dvc/cache/files/md5/{h[:2]}/{h[2:]}")


def st_manifest_lost(r):
    base(r)
    r.rm(object_of(r, "data.dvc"))


def st_manifest_lost_changed(r):
    st_manifest_lost(r)
    r.write("data/1", "changed\n")


def st_cache_gone(r):
    base(r)
    r.rm(".dvc/cache")


def st_corrupt(r):
    base(r)
    p = r.path / object_of(r, "f.dvc")
    p.chmod(0o644)
    p.write_bytes(b"garbage\n")


def st_type_change(r):
    base(r)
    r.rm("f")
    files(r, "inner", under="f")
    r.rm("data")
    r.write("data", "now a file\n")


def st_exec(r):
    base(r)
    (r.path / "f").chmod(0o755)
    (r.path / "run.sh").chmod(0o644)
    (r.path / "data/1").chmod(0o755)


def st_empty_dirs(r):
    (r.path / "empty").mkdir()
    r.dvc("add", "-q", "empty")
    base(r)
    (r.path / "data/void").mkdir()


def st_links(r):
    base(r)
    (r.path / "data/link").symlink_to("1")
    (r.path / "data/dirlink").symlink_to("sub")


def st_ignored(r):
    base(r)
    r.write(".dvcignore", "*.tmp\n/f\nsub/\n")
    r.write("data/x.tmp", "x\n")


def st_unrecorded(r):
    base(r)
    r.write("u.dvc", "outs:\n- path: u\n")
    r.write("v.dvc", "outs:\n- path: v\n  md5: d8e8fca2dc0f896fd7cb4cb0031ba249\n")
    r.write("u", "u\n")


def st_frozen(r):
    r.write("src", "s\n")
    r.write("dvc.yaml", "stages:\n  a:\n    cmd: cp src out\n    deps: [src]\n    outs: [out]\n"
            "  b:\n    cmd: 'true'\n    always_changed: true\n    deps: [src]\n")
    r.dvc("repro", "-q")
    r.dvc("freeze", "-q", "a")
    r.write("src", "t\n")


def st_pipeline(r):
    r.write("src", "s\n")
    r.write("params.yaml", "lr: 0.1\nn: {a: 1, b: [x, y]}\nt: 3\nu: text\n")
    r.write("p.json", '{"k": 1, "l": [1, 2]}')
    r.write("dvc.yaml", """stages:
  a:
    cmd: cp src out
    deps: [src]
    params:
    - lr
    - n.a
    - gone
    - p.json:
    - q.yaml:
    outs: [out]
  b:
    cmd: cp out out2 && echo 1 > m.json
    deps: [out]
    params: [t, u]
    outs:
    - out2:
        cache: false
    metrics:
    - m.json:
        cache: false
  never:
    cmd: cp src nv
    deps: [src, absent]
    outs: [nv]
  cb:
    cmd: 'true'
""")
    r.write("q.yaml", "z: 1\n")
    r.write("params.yaml", "lr: 0.1\nn: {a: 1, b: [x, y]}\nt: 3\nu: text\ngone: 1\n")
    r.dvc("repro", "-q", "a", "b")
    r.commit("pipe")
    r.write("params.yaml", "lr: 0.2\nn: {a: 1.0, b: [x, y]}\nt: 3\nu: other\n")
    r.write("p.json", '{"k": 2, "m": 1}')
    r.rm("q.yaml")
    r.write("out2", "edited\n")
    r.write("dvc.yaml", r.text("dvc.yaml").replace("echo 1 >", "echo 2 >"))


def st_pipeline_sub(r):
    r.write("sub/src", "s\n")
    r.write("sub/params.yaml", "p: 1\n")
    r.write("sub/dvc.yaml", "stages:\n  a:\n    cmd: cp src out\n    deps: [src]\n    params: [p]\n    outs: [out]\n"
            "  fe:\n    foreach: [x, y]\n    do:\n      cmd: echo ${item} > ${item}.o\n      outs: ['${item}.o']\n")
    r.dvc("repro", "-q", cwd="sub")
    r.commit("sub")
    r.write("sub/params.yaml", "p: 2\n")
    r.rm("sub/x.o")


def st_import_url(r):
    (r.path.parent / "elsewhere").mkdir(exist_ok=True)
    (r.path.parent / "elsewhere/ext").write_bytes(b"ext\n")
    r.dvc("import-url", "-q", "../elsewhere/ext", "imp")
    r.dvc("import-url", "-q", "--no-download", "../elsewhere/ext", "imp2")
    r.commit("imp")
    (r.path.parent / "elsewhere/ext").write_bytes(b"moved on\n")
    r.dvc("unfreeze", "-q", "imp.dvc")


def st_import(r):
    src = type(r)(r.path.parent / "srcrepo", r.env)
    src.path.mkdir()
    src.git("init", "-q")
    src.dvc("init", "-q")
    src.write("a.txt", "a\n")
    src.write("d/1", "1\n")
    src.dvc("add", "-q", "d", "a.txt")
    src.commit("one")
    r.dvc("import", "-q", "../srcrepo", "a.txt")
    r.dvc("import", "-q", "../srcrepo", "d", "-o", "dd")
    r.commit("imp")
    src.write("a.txt", "aa\n")
    src.dvc("add", "-q", "a.txt")
    src.commit("two")


def st_checksum(r):
    st_import_url(r)
    r.write("imp.dvc", r.text("imp.dvc").replace("md5: ", "md5: 0", 1)[:0] + _edit_md5(r.text("imp.dvc")))


def _edit_md5(text):
    return "\n".join("md5: 0123456789abcdef0123456789abcdef" if ln.startswith("md5:") else ln
                     for ln in text.splitlines()) + "\n"


def st_revisions(r):
    base(r)
    r.git("tag", "v1")
    r.write("data/1", "v2\n")
    os.rename(r.path / "data/2", r.path / "data/two")
    r.rm("data/3")
    r.write("g", "g\n")
    r.rm("f.dvc")
    r.rm("f")
    r.dvc("add", "-q", "data", "g")
    r.commit("v2")
    r.git("tag", "v2")
    r.write("data/1", "v3\n")


def st_same_content(r):
    for n in ("a-b", "a/b", "a.b", "z"):
        r.write(f"dup/{n}", "same\n")
    r.dvc("add", "-q", "dup")
    r.commit("dup")
    r.rm("dup/a-b")
    r.rm("dup/a/b")
    r.write("dup/m1", "same\n")
    r.write("dup/m0", "same\n")
    r.write("dup/m2", "same\n")


def st_no_cache_out(r):
    r.write("s", "s\n")
    r.write("dvc.yaml", "stages:\n  a:\n    cmd: cp s o\n    deps: [s]\n    outs:\n    - o: {cache: false}\n")
    r.dvc("repro", "-q")
    r.commit("nc")
    r.write("o", "x\n")


def st_untracked(r):
    base(r)
    files(r, "u1", "u2/x", under="loose")
    r.write("top", "t\n")
    r.write("f.dvc", r.text("f.dvc") + "desc: hello\n")


def object_of(r, pointer):
    import re
    h = re.search(r"md5: ([0-9a-f]{32}(\.dir)?)", r.text(pointer)).group(1)
    return f".dvc/cache/files/md5/{h[:2]}/{h[2:]}"


STATES = {k[3:]: v for k, v in list(globals().items()) if k.startswith("st_")}
QUESTIONS = [
    ("status",), ("status", "--json"), ("status", "-q"), ("status", "--json", "--no-updates"),
    ("data", "status", "--json"), ("data", "status"), ("data", "status", "--granular", "--json"),
    ("data", "status", "--granular", "--unchanged", "--json"),
    ("data", "status", "--granular", "--untracked-files", "--json"),
    ("data", "status", "--unchanged", "--untracked-files=all"),
    ("diff", "--json"), ("diff",), ("diff", "--show-hash", "--json"), ("diff", "--md", "--show-hash"),
    ("diff", "--hide-missing", "--json"), ("list", ".", "--json"), ("list", ".", "-R", "--json"),
]


def ask(r, args, cwd=None, n=[0]):
    """Both answers; the reference starts from a private state of its own, so that it cannot remember manifests."""
    n[0] += 1
    theirs = r.dvc(*args, code=None, cwd=cwd, env={"DVC_SITE_CACHE_DIR": f"{r.env['DVC_SITE_CACHE_DIR']}.{n[0]}"})
    ours = r.gd(*args, code=None, cwd=cwd)
    return ours, theirs


def same(args, ours, theirs):
    where = f"{' '.join(args)}\n--- ours\n{ours!r}\n--- theirs\n{theirs!r}"
    assert ours.code == theirs.code, where
    if "--json" in args and theirs.out.strip():
        assert canon(ours.json) == canon(theirs.json), where
    else:
        assert lines(ours.out) == lines(theirs.out), where
    assert ANSI not in ours.out
    if "status" in args[0]:
        warn = [ln for ln in theirs.err.splitlines() if ln.startswith(("WARNING", "ERROR"))]
        assert [ln for ln in ours.err.splitlines() if ln.startswith(("WARNING", "ERROR"))] == warn, where


# Where the reference stumbles over its own data, ours answers.
STUMBLES = {("pipeline", ("diff", "--md", "--show-hash"))}


@pytest.fixture
def made(make_repo, request):
    r = make_repo(init="dvc")
    STATES[request.param](r)
    return r


@pytest.mark.parametrize("made", STATES, indirect=True)
def test_both_tools_answer_alike(made, request):
    wrong = []
    for q in QUESTIONS:
        if (request.node.callspec.params["made"], q) in STUMBLES:
            assert made.gd(*q).code == 0
            continue
        try:
            same(q, *ask(made, q))
        except AssertionError as e:
            wrong.append(str(e))
    assert not wrong, "\n\n".join(wrong)


ARGUMENTS = [
    ("diff", "v1"), ("diff", "v1", "v2"), ("diff", "v1", "v2", "--json", "--show-hash"), ("diff", "v2", "v1", "--json"),
    ("diff", "v1", "--targets", "data", "--json"), ("diff", "v1", "v2", "--targets", "data/sub", "data/1", "--json"),
    ("diff", "v1", "v2", "--targets", "f", "--json"), ("diff", "v1", "--targets", "nothing", "--json"),
    ("diff", "HEAD", "v2", "--json"), ("diff", "nope"), ("diff", "v1", "v2", "--md"),
    ("list", ".", "--rev", "v1", "-R"), ("list", ".", "--rev", "v1", "--json"), ("list", ".", "data", "--size"),
    ("list", ".", "-T"), ("list", ".", "-T", "-L", "2", "--size", "--show-hash"), ("list", ".", "-R", "-L", "2"),
    ("list", ".", "--dvc-only"), ("list", ".", "--dvc-only", "-R", "--show-hash"), ("list", ".", "nope"),
    ("list", ".", "data/sub", "-T"), ("list", ".", "m", "-R", "--json"), ("list", ".", "--tree", "--json"),
    ("list", ".", "--rev", "nope"), ("list", ".", "g"), ("list", ".", "-R", "-L", "0"), ("list", ".", "-T", "-L", "0"),
    ("du", "."), ("du", ".", "-s"), ("du", ".", "data"), ("du", ".", "nope"), ("du", ".", "g"),
    ("status", "data.dvc"), ("status", "data"), ("status", "data/1", "--json"), ("status", "nope"),
    ("status", "-R", "m"), ("status", "-R", "."), ("status", "nope.dvc"), ("status", "-a"), ("status", "-j", "2"),
    ("data", "status", "data", "--json", "--granular"), ("data", "status", "g", "nope", "--json"),
    ("data", "status", "data/1", "--json", "--granular"),
    ("gc",), ("gc", "-w", "--dry"), ("gc", "-n", "2"), ("gc", "-a", "-T", "--dry"), ("gc", "--rev", "v2", "-n", "2", "--dry"),
    ("gc", "-A", "--dry"), ("gc", "--date", "2020-01-01", "--dry"), ("gc", "-w"), ("gc", "-w", "-c", "--not-in-remote"),
    ("gc", "--rev", "nope", "--dry"),
]


@pytest.mark.parametrize("made", ["revisions"], indirect=True)
def test_questions_with_arguments(made):
    wrong = []
    for args in ARGUMENTS:
        try:
            same(args, *ask(made, args))
        except AssertionError as e:
            wrong.append(str(e))
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("made", ["modified", "recorded", "pipeline_sub"], indirect=True)
def test_from_a_subdirectory(made):
    where = "sub" if made.exists("sub") else "m/n" if made.exists("m/n") else "."
    for q in [("status", "--json"), ("status",), ("data", "status", "--json", "--untracked-files"), ("diff", "--json"),
              ("list", "..", "--json"), ("list", ".", "-R", "--json")]:
        same(q, *ask(made, q, cwd=where))


@pytest.mark.parametrize("made", ["revisions"], indirect=True)
def test_against_a_remote(made, tmp_path):
    r = made
    r.dvc("remote", "add", "-q", "-d", "st", str(tmp_path / "remote"))
    qs = [("status", "-c", "--json"), ("status", "-c"), ("status", "-r", "st"), ("status", "-r", "nope"),
          ("status", "-c", "-a", "-T", "--json"), ("data", "status", "--not-in-remote", "--json"),
          ("data", "status", "--not-in-remote", "--granular", "--json"), ("data", "status", "--not-in-remote"),
          ("gc", "-w", "-c", "--dry"), ("gc", "-w", "--not-in-remote", "--dry")]
    for act in (lambda: None, lambda: r.dvc("push", "-q", "data"), lambda: r.dvc("push", "-q", "-A"),
                lambda: r.rm(object_of(r, "g.dvc")), lambda: shutil.rmtree(tmp_path / "remote/files/md5")):
        act()
        for q in qs:
            same(q, *ask(r, q))
