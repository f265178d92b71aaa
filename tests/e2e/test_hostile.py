"""A repository from somebody else: names and links that would lead checkout out of the work tree, or into .git and .dvc.

Every case must end with a non-zero exit (never a crash), and nothing outside the work tree's own data may have changed.
"""
import hashlib
import json
import os
import subprocess

import pytest
from harness import GIT_DATA, Repo


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


BAD_NAMES = ["../x", "../../x", "/etc/x", "/tmp/git-data-hostile", ".git/hooks/post-checkout", "a/../../x", "a/.git/config", ".GIT/config",
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
    assert not os.path.exists("/etc/x") and not os.path.exists("/tmp/git-data-hostile")


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


def test_git_works_in_the_clone_whatever_a_hook_exports(repo, tmp_path):
    """git exports GIT_DIR and GIT_INDEX_FILE to hooks and aliases: with them `git checkout --force` for an import would run
    in the user's own repository."""
    o = Repo(tmp_path / "o", repo.env)
    o.path.mkdir()
    o.git("init", "-q")
    o.gd("init", "-q")
    o.write("dir/a", "a")
    o.commit()
    repo.write("mine", "committed")
    repo.commit()
    repo.git("update-ref", "refs/remotes/origin/HEAD", "HEAD")
    repo.write("mine", "not committed")
    env = {"GIT_DIR": str(repo.path / ".git"), "GIT_INDEX_FILE": str(repo.path / ".git/index"), "GIT_WORK_TREE": str(repo.path)}
    head = repo.git("symbolic-ref", "HEAD").out
    repo.gd("import", f"file://{o.path}", "dir", env=env)
    repo.gd("update", "dir.dvc", env=env)
    assert repo.read("mine") == b"not committed" and repo.read("dir/a") == b"a"
    assert repo.git("symbolic-ref", "HEAD").out == head


def test_a_retry_removes_nothing_outside_of_the_repository(repo, tmp_path):
    keep = tmp_path / "keep"
    keep.mkdir()
    (keep / "f").write_text("the only copy")
    repo.write("dvc.yaml", f"stages:\n  s:\n    cmd: touch part && test -e keep-going\n    outs:\n    - part\n    - {keep}:\n"
               "        cache: false\n    meta: {git-data: {retries: 2}}\n")
    said = repo.gd("repro", code=None)
    assert said.code != 0 and "Retrying" in said.out + said.err, repr(said)
    assert (keep / "f").read_text() == "the only copy"


@pytest.mark.parametrize("name", ["lock", "rwlock", "rwlock.lock"])
@pytest.mark.parametrize("hardlink", ["false", "true"])
@pytest.mark.parametrize("how", ["the file is a link", "the directory is a link"])
def test_locks_are_not_written_through_links(repo, outside, how, hardlink, name):
    """git keeps .dvc/tmp/lock, too, when it is committed with -f."""
    repo.write("f", "f")
    repo.gd("config", "core.hardlink_lock", hardlink)
    repo.rm(".dvc/tmp")
    (outside / name).write_bytes(b"precious\n")
    if how == "the directory is a link":
        os.symlink(outside, repo.path / ".dvc/tmp")
    else:
        (repo.path / ".dvc/tmp").mkdir()
        os.symlink(outside / name, repo.path / ".dvc/tmp" / name)
    for argv in [("status",), ("add", "f"), ("commit", "-f"), ("repro",), ("gc", "-w", "-f")]:
        repo.gd(*argv, code=None, timeout=20)
    assert (outside / name).read_bytes() == b"precious\n"


@pytest.mark.parametrize("argv", [("add", "f"), ("add", "f", "g"), ("stage", "add", "-n", "s", "-o", "out", "true"), ("repro",), ("move", "old", "new"),
                                  ("remove", "old.dvc"), ("import-url", "other", "imported"), ("commit", "-f")])
def test_ignore_rules_are_not_written_through_a_link_that_leads_out(repo, outside, argv):
    """A line of .gitignore in a file of the user's: a start-up file of the shell would run it."""
    for name in ("f", "g", "old", "other"):
        repo.write(name, name)
    repo.gd("add", "-q", "old")
    if argv[0] in ("repro", "commit"):
        repo.write("dvc.yaml", "stages:\n  s:\n    cmd: echo s > out\n    outs: [out]\n")
        repo.write("out", "out")
    (outside / "rc").write_bytes(b"# precious\n/old\n")
    repo.rm(".gitignore")
    os.symlink(outside / "rc", repo.path / ".gitignore")
    said = repo.gd(*argv, code=None)
    assert (outside / "rc").read_bytes() == b"# precious\n/old\n", said
    assert os.path.islink(repo.path / ".gitignore"), said
    told = "Could not create .gitignore entry" if argv[0] == "stage" else "is outside of git repository"
    assert (argv[0] == "stage" or said.code) and told in said.err, said


@pytest.mark.parametrize("argv", [("repro",), ("commit", "-f"), ("remove", "s")])
def test_no_ignore_rules_are_written_into_a_linked_directory_outside(repo, outside, argv):
    os.symlink(outside, repo.path / "link")
    repo.write("dvc.yaml", "stages:\n  s:\n    cmd: echo s > link/precious\n    outs: [link/precious]\n")
    said = repo.gd(*argv, code=None)
    assert os.listdir(outside) == ["precious"] and said.code in (1, 255), said
    assert f"'{repo.path}/link/precious' is outside of git repository '{repo.path}'" in said.err
    assert b"precious\n" in ((outside / "precious").read_bytes(), *[p.read_bytes() for p in (repo.path / ".dvc/tmp").rglob("0")])


def test_ignore_rules_in_a_linked_file_of_the_repository(repo):
    repo.write("rules", "*.o\n")
    os.symlink("rules", repo.path / ".gitignore")
    repo.write("dvc.yaml", "stages:\n  s:\n    cmd: echo s > out\n    outs: [out]\n")
    repo.write("f", "f")
    repo.gd("repro", "-q")
    repo.gd("add", "-q", "f")
    assert repo.text("rules") == "*.o\n/out\n/f\n" and os.path.islink(repo.path / ".gitignore")
    repo.gd("remove", "-q", "f.dvc")
    assert repo.text("rules") == "*.o\n/out\n"


@pytest.mark.parametrize("moved", [("x", "link/precious", "x.dvc", "link/pointer.dvc"), ("link/x", "mine", "x.dvc", "link/pointer.dvc"),
                                   ("../x", "mine", "x.dvc", "y.dvc"), ("x", "mine", "x.dvc", "../outside/pointer.dvc"),
                                   ("x", "mine", "x.dvc", "mine"), (".git/hooks/post-checkout", "mine", "x.dvc", "y.dvc"), ("x", "mine")])
def test_the_note_of_a_move_that_leads_elsewhere(repo, outside, moved):
    """git keeps .dvc/tmp/git-data.move, too, when it is committed with -f."""
    (outside / "pointer.dvc").write_bytes(b"precious\n")
    os.symlink(outside, repo.path / "link")
    repo.write("mine", "mine")
    repo.write("f", "f")
    repo.gd("add", "-q", "f")
    pointer = repo.read("f.dvc")
    repo.write("x.dvc", pointer)
    repo.rm("f.dvc")
    before = {n: (outside / n).read_bytes() for n in os.listdir(outside)}, everything(repo.path)
    repo.write(".dvc/tmp/git-data.move", "".join(f + "\0" for f in [*moved, md5(pointer), "1"]))
    repo.gd("status", code=None)
    assert ({n: (outside / n).read_bytes() for n in os.listdir(outside)}, everything(repo.path)) == before


OWN_MOUNTS = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
VAR_TMP = {"somebody else's": "mkdir -m 777 /var/tmp/git-data-0", "read-only": "mount -o remount,ro /var/tmp", "our own": "true"}


def kept_below_var_tmp(repo, whose):
    """Without a home the state lies below /var/tmp, where somebody else may have made the directory, to say what our files hold."""
    script = (f"mount -t tmpfs t /var/tmp && {VAR_TMP[whose]} && unset HOME DVC_SITE_CACHE_DIR && \"$0\" add f > /dev/null && "
              "\"$0\" status && ls -A /var/tmp/git-data-0")
    repo.write("f", "f")
    said = repo.run([*OWN_MOUNTS, script, GIT_DATA], code=None)
    assert "up to date" in said.out and "WARNING" not in said.err, said
    assert (len(said.out.splitlines()) == 1) == (whose != "our own") == repo.exists(".dvc/tmp/git-data"), said


if not subprocess.run([*OWN_MOUNTS, "mount -t tmpfs t /var/tmp"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
    test_the_state_is_not_read_from_a_place_of_others = pytest.mark.parametrize("whose", VAR_TMP)(kept_below_var_tmp)


def ssh_remote_with_a_command(r, tmp_path):
    """What a clone brings along: a remote that cannot be reached, and the program that shall reach it."""
    r.write(".dvc/config", "[core]\n    remote = s\n['remote \"s\"']\n    url = ssh://127.0.0.1:1/x\n")
    r.write(".dvc/git-data.conf", f"[ssh]\ncommand = touch {tmp_path}/owned &&\n")
    pointer(r, md5(b"evil"), "f", "f.dvc")


@pytest.mark.parametrize("argv", [("pull",), ("fetch",), ("push",), ("status", "-c")], ids=" ".join)
def test_a_committed_setting_runs_no_program(repo, tmp_path, argv):
    ssh_remote_with_a_command(repo, tmp_path)
    said = repo.gd(*argv, code=None)
    assert not (tmp_path / "owned").exists(), said
    assert "'ssh.command'" in said.err and "is ignored" in said.err, said


@pytest.mark.parametrize("argv", [("get",), ("import",)], ids=" ".join)
def test_the_setting_of_a_clone_runs_no_program(repo, make_repo, tmp_path, argv):
    other = make_repo("other")
    ssh_remote_with_a_command(other, tmp_path)
    other.commit()
    said = refused(repo, *argv, f"file://{other.path}", "f")
    assert not (tmp_path / "owned").exists(), said


def test_a_program_is_set_by_the_user_only(repo, tmp_path):
    ssh_remote_with_a_command(repo, tmp_path)
    repo.rm(".dvc/git-data.conf")
    refused(repo, "config", "ssh.command", "touch x;", code=251)
    assert not repo.exists(".dvc/git-data.conf")
    repo.gd("config", "--global", "ssh.command", f"touch {tmp_path}/mine &&")
    repo.gd("pull", code=None)
    assert (tmp_path / "mine").exists()


@pytest.mark.parametrize("how", ["url", "rev"])
@pytest.mark.parametrize("path", ["data", "dir", "data/precious"])
def test_a_link_of_another_repository_is_the_name_it_holds(twins, make_repo, outside, how, path):
    """get and import read git objects, as DVC does: never what the link leads to on this machine."""
    other = make_repo("other", init="dvc")
    os.symlink(outside, other.path / "data")
    other.write("dir/plain", "plain\n")
    os.symlink(outside / "precious", other.path / "dir/link")
    os.symlink("..", other.path / "dir/up")
    other.commit()
    where = [f"file://{other.path}"] if how == "url" else [str(other.path), "--rev", "HEAD"]
    for argv in (["get", *where, path, "-o", "got"], ["import", *where, path, "-o", "imported"]):
        ours, theirs = twins.both(*argv)
        assert "precious\n" not in ours.out + ours.err
    twins.same_tree()
    assert not any(data == b"precious\n" for data in everything(twins.gd.path).values())


def test_a_kept_clone_with_links_is_made_anew(repo, make_repo, outside):
    other = make_repo("other")
    os.symlink(outside / "precious", other.path / "link")
    other.commit()
    repo.gd("get", f"file://{other.path}", "link", "-o", "first")
    clone, = [p for p in (repo.path.parent / "home/.cache/git-data/clones").iterdir() if p.is_dir()]
    repo.git("config", "--unset", "core.symlinks", cwd=clone)
    os.remove(clone / "link")
    os.symlink(outside / "precious", clone / "link")
    repo.gd("get", f"file://{other.path}", "link", "-o", "second")
    assert repo.text("first") == repo.text("second") == f"{outside}/precious"
