"""Every command that writes, on a disk that takes no more: it fails and says which file and why, what it writes stands there
as it was or as it shall be, and the same command later does its work."""
import os
import resource
import shutil
import signal
import subprocess

import pytest
from harness import GIT_DATA

SIZES = (0, 3, 100, 700)        # bytes that one file may have
META = (".dvc", "dvc.yaml", "dvc.lock", ".gitignore", "config", "config.local", "pre-commit", "pre-push", "post-checkout",
        ".dvcignore", ".gitattributes")


def limited(repo, size, argv):
    def pre():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    return subprocess.run([GIT_DATA, *argv], cwd=repo.path, env=repo.env, capture_output=True, text=True, preexec_fn=pre,
                          stdin=subprocess.DEVNULL, timeout=60)


def text_of(repo):
    """What a half-written file would be seen in."""
    out = {}
    for p in repo.path.rglob("*"):
        rel = str(p.relative_to(repo.path))
        if p.is_file() and not p.is_symlink() and (rel.endswith(META) or rel.startswith("d/") or rel in ("f", "g")) and \
                ".dvc/tmp/" not in rel and ".dvc/cache" not in rel and not rel.startswith(".git/modules"):
            out[rel] = p.read_bytes()
    return out


def tracked(repo, tmp_path):
    repo.write("f", b"f" * 2000)
    repo.write("d/a", b"a" * 50)
    repo.write("d/b", b"b" * 1500)
    repo.gd("add", "f", "d")


def changed(repo, tmp_path):
    tracked(repo, tmp_path)
    repo.write("f", b"F" * 2001)
    repo.write("d/b", b"B" * 1501)


def missing(repo, tmp_path):
    tracked(repo, tmp_path)
    repo.rm("f")
    repo.rm("d")


def pipeline(repo, tmp_path):
    repo.write("dvc.yaml", "stages:\n" + "".join(f"  s{i}:\n    cmd: 'true'\n    deps: [in]\n" for i in range(3)))
    repo.write("in", b"in")


def ran(repo, tmp_path):
    pipeline(repo, tmp_path)
    repo.gd("repro")
    repo.write("in", b"other")


def remote(repo, tmp_path):
    tracked(repo, tmp_path)
    repo.gd("remote", "add", "-d", "r", str(tmp_path / "remote"))


def pulled(repo, tmp_path):
    remote(repo, tmp_path)
    repo.gd("push")
    shutil.rmtree(repo.path / ".dvc/cache")
    repo.rm("f")
    repo.rm("d")


def settings(repo, tmp_path):
    repo.gd("remote", "add", "r", "/somewhere/" + "x" * 100)
    repo.gd("config", "core.jobs", "4", code=None)


def source(repo, tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/file").write_bytes(b"s" * 2000)


def imported(repo, tmp_path):
    source(repo, tmp_path)
    repo.gd("import-url", str(tmp_path / "src/file"), "g")
    (tmp_path / "src/file").write_bytes(b"S" * 2001)


def other(repo, tmp_path):
    repo.another(tmp_path / "other", {"file": b"o" * 2000, "dir/a": b"a" * 900, "dir/b": b"b" * 50}, ["file", "dir"])


def old_cache(repo, tmp_path):
    tracked(repo, tmp_path)
    repo.write(".dvc/cache/5d/41402abc4b2a76b9719d911017c592", b"hello", mode=0o444)


def nothing(repo, tmp_path):
    pass


CASES = {
    "add": (lambda r, t: (r.write("f", b"f" * 2000), r.write("d/a", b"a" * 50), r.write("d/b", b"b" * 1500)), ["add", "f", "d"]),
    "commit": (changed, ["commit", "-f"]), "checkout": (missing, ["checkout"]), "fetch": (pulled, ["fetch"]),
    "pull": (pulled, ["pull"]), "push": (remote, ["push"]), "repro": (pipeline, ["repro"]), "repro again": (ran, ["repro"]),
    "remove": (tracked, ["remove", "f.dvc"]), "move": (tracked, ["move", "f", "moved"]),
    "stage add": (pipeline, ["stage", "add", "-n", "new", "-d", "in", "-o", "out", "echo >out"]),
    "freeze": (ran, ["freeze", "s1"]), "remove stage": (ran, ["remove", "s1"]),
    "config": (settings, ["config", "core.remote", "r"]), "config local": (settings, ["config", "--local", "core.remote", "r"]),
    "remote add": (settings, ["remote", "add", "other", "/somewhere/else"]), "remote rename": (settings, ["remote", "rename", "r", "q"]),
    "remote remove": (settings, ["remote", "remove", "r"]), "import-url": (source, ["import-url", "@src/file", "g"]),
    "update": (imported, ["update", "g.dvc"]), "get-url": (source, ["get-url", "@src/file", "g"]),
    "import": (other, ["import", "@other", "dir", "-o", "d"]), "get": (other, ["get", "@other", "dir", "-o", "d"]),
    "get file": (other, ["get", "@other", "file", "-o", "g"]), "migrate": (old_cache, ["cache", "migrate"]),
    "install": (nothing, ["install"]), "unprotect": (tracked, ["unprotect", "f"]),
    "gc": (lambda r, t: (tracked(r, t), r.gd("remove", "f.dvc")), ["gc", "-w", "-f"]),
    "cache dir": (settings, ["cache", "dir", "elsewhere"]),
}


def build(repo, tmp_path, case):
    prepare, argv = CASES[case]
    prepare(repo, tmp_path)
    return [a.replace("@", str(tmp_path) + "/") if a.startswith("@") else a for a in argv]


@pytest.fixture
def done(repo, tmp_path, request):
    """The texts before and after an undisturbed run, and the repository as it was before."""
    argv = build(repo, tmp_path, request.param)
    kept = tmp_path / "kept"
    shutil.copytree(repo.path, kept, symlinks=True)
    remote = tmp_path / "remote"
    if remote.exists():
        shutil.copytree(remote, tmp_path / "remote-kept")

    def back():
        for d in repo.path.iterdir():
            shutil.rmtree(d) if d.is_dir() and not d.is_symlink() else d.unlink()
        shutil.copytree(kept, repo.path, symlinks=True, dirs_exist_ok=True)
        if remote.exists():
            shutil.rmtree(remote)
        if (tmp_path / "remote-kept").exists():
            shutil.copytree(tmp_path / "remote-kept", remote)
    before = text_of(repo)
    repo.gd(*argv)
    return argv, before, text_of(repo), back


@pytest.mark.parametrize("done", CASES, indirect=True)
def test_what_is_written_is_written_whole(repo, done):
    argv, before, after, back = done
    failed = 0
    for size in SIZES:
        back()
        p = limited(repo, size, argv)
        now = text_of(repo)
        for name in set(now) | set(before):
            assert now.get(name) in (before.get(name), after.get(name)), (size, name, now.get(name), p.stderr)
        if p.returncode == 0:
            assert now == after, (size, p.stderr, set(now) ^ set(after))
        else:
            failed += 1
            assert p.returncode in (1, 251, 253, 255), p
            assert ("File too large" in p.stderr or "error: failed to write" in p.stderr) and "'" in p.stderr, (size, p.stderr)
        left = [str(x) for x in repo.path.rglob("*") if x.name.endswith(".tmp") and ".git/" not in str(x)]
        assert not left, left
        repo.gd(*argv, code=0 if p.returncode else None)
        assert text_of(repo) == after
    assert failed or argv[0] in ("gc", "unprotect", "cache")
