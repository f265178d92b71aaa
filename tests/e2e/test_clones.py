"""Clones of other repositories that are kept for the next time: killed, damaged, in use, or nowhere to keep them."""
import fcntl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest


@pytest.fixture
def source(make_repo):
    r = make_repo("source")
    for i in range(30):
        r.write(f"plain/{i}", "one")
    r.commit()
    return r


def url(source):
    return f"file://{source.path}"


def kept(repo):
    found, = [p for p in (Path(repo.env["HOME"]) / ".cache/git-data/clones").iterdir() if p.is_dir()]
    return found


def values(top):
    return {p.read_text() for p in top.iterdir()}, len(list(top.iterdir()))


def get(repo, source, to, **kw):
    return repo.gd("get", url(source), "plain", "-o", to, **kw)


def stale_lock(clone):
    (clone / ".git/index.lock").write_bytes(b"")


def stale_ref_lock(clone):
    (clone / ".git/refs/remotes/origin/main.lock").write_bytes(b"")


def empty_head(clone):
    (clone / ".git/HEAD").write_bytes(b"")


def lost_objects(clone):
    for p in (clone / ".git/objects").rglob("*"):
        if p.is_file():
            p.unlink()


def file_of_a_checkout_that_was_killed(clone):
    (clone / "plain/of another commit").write_text("two")
    (clone / ".dvc").mkdir(exist_ok=True)
    (clone / ".dvc/config.local").write_text("[core]\n    remote = elsewhere\n")


def changed_file(clone):
    (clone / "plain/7").write_text("two")


@pytest.mark.parametrize("damage", [stale_lock, stale_ref_lock, empty_head, lost_objects, file_of_a_checkout_that_was_killed, changed_file])
def test_a_clone_that_a_killed_process_left(repo, source, damage):
    get(repo, source, "first")
    damage(kept(repo))
    for i in range(30):
        source.write(f"plain/{i}", "three")
    source.commit()
    get(repo, source, "second")
    assert values(repo.path / "second") == ({"three"}, 30)
    assert repo.gd("list", url(source), "plain").out.split() == sorted(map(str, range(30)))
    assert not (kept(repo) / ".dvc/config.local").exists()


def test_a_revision_that_is_not_there_costs_no_clone(repo, source):
    repo.gd("list", url(source), "--rev", "nowhere", code=1)
    made = kept(repo).stat().st_ino
    said = repo.gd("list", url(source), "--rev", "nowhere", code=1)
    assert "unknown Git revision 'nowhere'" in said.err and kept(repo).stat().st_ino == made


def test_many_at_once_from_a_source_that_moves(repo, source):
    for k in range(3):
        for i in range(30):
            source.write(f"plain/{i}", f"version {k}")
        source.commit()
        with ThreadPoolExecutor(4) as pool:
            said = list(pool.map(lambda j: get(repo, source, f"o{k}-{j}", code=None), range(4)))
        assert [s.code for s in said] == [0] * 4, said
        for j in range(4):
            assert values(repo.path / f"o{k}-{j}") == ({f"version {k}"}, 30)


def leftovers(tmp):
    return [p for p in tmp.iterdir() if p.name.startswith((".", "git-data"))]


def test_one_that_another_process_has_is_left_alone(repo, source, tmp_path):
    get(repo, source, "first")
    (tmp_path / "tmp").mkdir()
    head = kept(repo) / ".git/index"
    before = head.stat().st_mtime_ns, (kept(repo) / ".git/FETCH_HEAD").exists()
    source.write("plain/new", "one")
    source.commit()
    with open(str(kept(repo)) + ".lock", "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        get(repo, source, "second", env={"TMPDIR": str(tmp_path / "tmp")})
    assert repo.exists("second/new") and (head.stat().st_mtime_ns, (kept(repo) / ".git/FETCH_HEAD").exists()) == before
    assert not leftovers(tmp_path / "tmp")


@pytest.mark.parametrize("home", ["/dev/null", "relative", ""])
def test_nowhere_to_keep_them(repo, source, tmp_path, home):
    (tmp_path / "tmp").mkdir()
    env = {"HOME": home, "TMPDIR": str(tmp_path / "tmp"), "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
           "GIT_CONFIG_VALUE_0": "*"}
    get(repo, source, "first", env=env)
    assert values(repo.path / "first") == ({"one"}, 30)
    repo.gd("import", url(source), "plain", env=env)
    assert values(repo.path / "plain") == ({"one"}, 30)
    assert not leftovers(tmp_path / "tmp") and not repo.exists("relative")


def test_a_part_of_an_import_comes_alone(repo, source):
    for name in ("a", "b", "sub/c", "sub/d"):
        source.write(f"tracked/{name}", name)
    source.gd("add", "-q", "tracked")
    source.commit()
    repo.gd("import", "-q", str(source.path), "tracked")
    for name, files in (("tracked/sub", ["sub/c", "sub/d"]), ("tracked/a", ["a"])):
        repo.rm(".dvc/cache")
        repo.rm("tracked")
        assert "fetched" in repo.gd("pull", name).out
        assert sorted(str(p.relative_to(repo.path / "tracked")) for p in (repo.path / "tracked").rglob("*") if p.is_file()) == files
        assert len(repo.cache()) == len(files) + 1
    repo.gd("pull")
    assert repo.text("tracked/sub/d") == "sub/d" and repo.text("tracked/b") == "b"


def test_a_descriptor_is_no_repository(repo):
    p = repo.gd("get", "fd::7", "x", code=1, timeout=60)
    assert "transport 'fd' not allowed" in p.err
