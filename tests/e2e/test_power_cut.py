"""S6 when repositories share a cache: what one of them wrote before a power cut, the others verify before they trust it. And what
notes that, <cache>/git-data.unsynced, is nothing to DVC."""
import hashlib
import os
import re
import shutil
import stat

import pytest

MARKS = "git-data.unsynced/marks"


def place_of(cache, data):
    h = hashlib.md5(data).hexdigest()
    return cache / "files/md5" / h[:2] / h[2:]


def power_cut(cache, *torn, name=MARKS):
    """The machine stopped: of these objects only name, mode and stamps came to the disk. It runs again, under another boot id."""
    marks = cache / name
    text = marks.read_text()
    assert text.startswith("dirty "), text
    marks.write_text("dirty " + ("1" if text[6] == "0" else "0") + text[7:])
    for p in torn:
        st = p.stat()
        p.chmod(0o644)
        os.truncate(p, 0)
        p.chmod(0o444)
        os.utime(p, ns=(st.st_atime_ns, st.st_mtime_ns))


@pytest.fixture
def two(make_repo, tmp_path):
    a, b = make_repo("a"), make_repo("b")
    for r in (a, b):
        r.cache_dir = tmp_path / "shared"
        r.gd("cache", "dir", str(r.cache_dir))
    return a, b


def shared_files(a, b):
    a.write("torn", b"torn content\n")
    a.write("whole", b"whole content\n")
    a.gd("add", "-q", "torn", "whole")
    for n in ("torn.dvc", "whole.dvc"):
        b.write(n, a.read(n))


def test_another_repository_does_not_trust_what_was_lost(two):
    a, b = two
    shared_files(a, b)
    torn = place_of(a.cache_dir, b"torn content\n")
    power_cut(a.cache_dir, torn)
    r = b.gd("checkout", code=255)
    assert "torn" in r.err and b.read("whole") == b"whole content\n" and not b.exists("torn")
    assert not torn.exists() and len(list((a.cache_dir / "git-data.quarantine").iterdir())) == 1
    a.gd("add", "-q", "torn")
    b.gd("checkout", "-q")
    assert b.read("torn") == b"torn content\n"


def test_what_is_verified_is_so_for_all(two):
    a, b = two
    shared_files(a, b)
    power_cut(a.cache_dir)
    b.gd("checkout", "-q")
    before = (a.cache_dir / MARKS).read_text()
    assert before.count("ok ") == 2 and before.count("suspect ") == 1
    a.rm("whole")
    a.gd("checkout", "-q")
    assert (a.cache_dir / MARKS).read_text() == before


def test_a_mark_of_an_earlier_version_counts_for_all(two):
    a, b = two
    shared_files(a, b)
    site, = (p for p in a.path.parent.glob("site/git-data/*") if (p / hashlib.md5(str(a.path).encode()).hexdigest()).exists())
    shutil.move(a.cache_dir / MARKS, site / "unsynced")
    shutil.rmtree(a.cache_dir / "git-data.unsynced")
    a.gd("status", "-q")
    assert not (site / "unsynced").exists()
    torn = place_of(a.cache_dir, b"torn content\n")
    power_cut(a.cache_dir, torn)
    b.gd("checkout", code=255)
    assert not b.exists("torn") and b.read("whole") == b"whole content\n"


def changed(r):
    r.write("f", b"changed")


WRITERS = {
    "add": (lambda r: r.write("g", b"new"), ["add", "-q", "g"]),
    "commit": (changed, ["commit", "-q", "-f"]),
    "import-url": (lambda r: None, ["import-url", "-q", "src", "imported"]),
    "import": (lambda r: None, ["import", "-q", "../other", "o"]),
    "fetch": (lambda r: shutil.rmtree(r.path / ".dvc/cache"), ["fetch", "-q"]),
    "fetch-runs": (lambda r: shutil.rmtree(r.path / ".dvc/cache"), ["fetch", "-q", "--run-cache"]),
    "repro": (changed, ["repro", "-q"]),
    "migrate": (lambda r: r.write(".dvc/cache/90/0150983cd24fb0d6963f7d28e17f72", b"abc", 0o444), ["cache", "migrate"]),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_leaves_the_mark_in_the_cache(repo, make_repo, name):
    other = make_repo("other")
    other.write("o", b"of the other")
    other.gd("add", "-q", "o")
    other.commit()
    repo.write("f", b"first")
    repo.write("src", b"source")
    repo.gd("add", "-q", "f")
    repo.gd("remote", "add", "-q", "-d", "origin", str(repo.path.parent / "remote"))
    repo.write("dvc.yaml", "stages:\n  s:\n    cmd: cp f out\n    deps: [f]\n    outs: [out]\n")
    repo.gd("repro", "-q")
    repo.gd("push", "-q", "--run-cache")
    shutil.rmtree(repo.path / ".dvc/cache/git-data.unsynced")
    prepare, argv = WRITERS[name]
    prepare(repo)
    had = set(repo.cache())
    repo.gd(*argv)
    assert set(repo.cache()) - had
    assert (repo.path / ".dvc/cache" / MARKS).read_text().startswith("dirty ")


LAYOUTS = ["files/md5", ""]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_dvc_takes_no_notice(make_repo, layout):
    """Every command of DVC that lists a cache says and does the same with our file there, whose content stays."""
    seen = []
    for name in ("with", "without"):
        r = make_repo(f"{name}/r", init="dvc")
        r.write("f", b"kept\n")
        r.write("d/x", b"in a directory\n")
        r.dvc("add", "-q", "f", "d")
        r.write("old", b"garbage\n")
        r.dvc("add", "-q", "old")
        r.rm("old.dvc")
        cache = r.path / ".dvc/cache"
        if not layout:
            for p in (cache / "files/md5").iterdir():
                p.rename(cache / p.name)
            shutil.rmtree(cache / "files")
            for n in ("f.dvc", "d.dvc"):
                r.write(n, re.sub("  hash: md5\n", "", r.text(n)))
        marks = [cache / MARKS, cache / (MARKS + "-legacy")]
        if name == "with":
            marks[0].parent.mkdir()
            for m in marks:
                m.write_text("dirty 0 00000000000000000005 00000000000000000006\n")
        r.dvc("remote", "add", "-q", "-d", "origin", str(r.path.parent / "remote"))
        said = []
        for argv in (["status"], ["status", "-c"], ["push"], ["gc", "-w", "-f", "--dry"], ["gc", "-w", "-f"], ["cache", "migrate", "--dry"],
                     ["cache", "migrate"], ["status"], ["fetch"], ["checkout"], ["gc", "-w", "-c", "-f"]):
            p = r.dvc(*argv, code=None)
            said.append((argv, p.code, *(sorted(re.sub(r"\r[^\n]*", "", t).replace(str(r.path.parent), "").splitlines())
                                         for t in (p.out, p.err))))
        seen.append((said, r.cache(), sorted(str(p.relative_to(r.path.parent)) for p in (r.path.parent / "remote").rglob("*"))))
        if name == "with":
            assert all(m.read_text().startswith("dirty 0 ") for m in marks)
        else:
            assert not marks[0].parent.exists()
    assert seen[0] == seen[1]


def test_we_take_no_notice_either(twins):
    """Listing, gc and migration of ours with the file there come to what DVC's do without it."""
    def prepare(r, tool):
        r.write("f", b"kept\n")
        r.tool(tool, "add", "-q", "f")
        r.write("old", b"garbage\n")
        r.tool(tool, "add", "-q", "old")
        r.rm("old.dvc")
        r.write(".dvc/cache/90/0150983cd24fb0d6963f7d28e17f72", b"abc", 0o444)
    twins.each(prepare)
    assert (twins.gd.path / ".dvc/cache" / MARKS).exists()
    for argv in (["gc", "-w", "-f", "--dry"], ["cache", "migrate", "--dry"], ["cache", "migrate"], ["gc", "-w", "-f"], ["status"]):
        a, b = twins.both(*argv, code=0)
        assert a.out.replace("/gd/r/", "/") == b.out.replace("/dvc/r/", "/")
    twins.same_cache()


@pytest.fixture
def read_only(two):
    """Repository b may read the cache but not write it."""
    a, b = two
    shared_files(a, b)
    yield a, b
    set_modes(a.cache_dir, True)


def set_modes(cache, writable):
    for d, _, _ in [*os.walk(cache)]:
        os.chmod(d, 0o755 if writable else 0o555)


def test_a_read_only_cache(read_only):
    a, b = read_only
    set_modes(a.cache_dir, False)
    b.gd_unprivileged("checkout", "-q")
    assert b.read("whole") == b"whole content\n"
    assert b.gd_unprivileged("status").code == 0
    set_modes(a.cache_dir, True)
    power_cut(a.cache_dir)
    before = (a.cache_dir / MARKS).read_text()
    set_modes(a.cache_dir, False)
    for n in ("torn", "whole"):
        b.rm(n)
    b.gd_unprivileged("checkout", "-q")
    assert b.read("whole") == b"whole content\n" and (a.cache_dir / MARKS).read_text() == before
    own = [p for p in b.path.parent.glob("site/git-data/*/unsynced")]
    assert len(own) == 1 and own[0].read_text().count("ok ") == 2           # not verified again by each command
    text = own[0].read_text()
    b.rm("whole")
    b.gd_unprivileged("checkout", "-q")
    assert own[0].read_text() == text


def test_the_umask_and_the_group(two):
    a, b = two
    shared_files(a, b)
    d = a.cache_dir / "git-data.unsynced"
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(d.stat().st_mode) == 0o777 & ~umask
    assert stat.S_IMODE((d / "marks").stat().st_mode) == (0o666 & ~umask) | 0o444
    shutil.rmtree(a.cache_dir)
    a.gd("config", "cache.shared", "group")
    a.run(["sh", "-c", 'umask 077 && exec "$0" add -q -f torn', os.environ.get("GIT_DATA", a_binary())])
    assert stat.S_IMODE(d.stat().st_mode) == 0o2775
    assert stat.S_IMODE((d / "marks").stat().st_mode) == 0o664


def a_binary():
    from harness import GIT_DATA
    return GIT_DATA


@pytest.mark.parametrize("what", ["fifo", "link", "directory", "huge", "binary", "unreadable"])
def test_a_hostile_mark(two, what):
    a, b = two
    shared_files(a, b)
    marks, victim = a.cache_dir / MARKS, a.path.parent / "victim"
    victim.write_text("untouched")
    marks.unlink()
    if what == "fifo":
        os.mkfifo(marks)
    elif what == "link":
        marks.symlink_to(victim)
    elif what == "directory":
        marks.mkdir()
    elif what == "huge":
        with open(marks, "wb") as f:
            f.truncate(1 << 40)
    elif what == "binary":
        marks.write_bytes(bytes(range(256)) * 500)
    else:
        marks.write_text("x")
        marks.chmod(0)
    for argv in (["data", "status", "-q"], ["checkout", "-q"], ["add", "-q", "whole"], ["status", "-q"], ["gc", "-w", "-f", "-q"]):
        b.gd_unprivileged(*argv, timeout=60)
    assert b.read("whole") == b"whole content\n" and victim.read_text() == "untouched"
