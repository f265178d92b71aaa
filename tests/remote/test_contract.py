"""The same checks against every remote: what push, fetch, pull, status and check promise, seen from outside."""
import hashlib
import json
import os


def md5(data):
    return hashlib.md5(data).hexdigest()


def key_of(data, suffix=""):
    h = md5(data)
    return f"files/md5/{h[:2]}/{h[2:]}{suffix}"


def manifest(repo, pointer):
    return next(w.split()[-1] for w in repo.text(pointer).splitlines() if "md5:" in w and ".dir" in w)


def filled(make_repo, place, files):
    r = make_repo()
    place.add_to(r)
    for name, data in files.items():
        r.write(name, data)
    return r


FILES = {"d/a": b"one", "d/sub/b": b"two", "d/sub/empty": b"", "f": b"three"}


def pushed(make_repo, place):
    r = filled(make_repo, place, FILES)
    r.gd("add", "d", "f")
    assert r.gd("push").out == "5 files pushed\n"
    return r


def test_objects_lie_under_their_own_hashes(make_repo, place):
    r = pushed(make_repo, place)
    dir_id = manifest(r, "d.dvc")
    want = sorted([key_of(v) for v in FILES.values()] + [f"files/md5/{dir_id[:2]}/{dir_id[2:]}"])
    assert place.keys() == want
    for data in FILES.values():
        assert place.read(key_of(data)) == data
    assert md5(place.read(f"files/md5/{dir_id[:2]}/{dir_id[2:]}")) + ".dir" == dir_id


def test_nothing_to_do_is_said_and_done(make_repo, place):
    r = pushed(make_repo, place)
    before = place.keys()
    assert r.gd("push").out == "Everything is up to date.\n"
    assert place.keys() == before
    assert r.gd("status", "-c").out == "Cache and remote 'r' are in sync.\n"


def test_a_clone_pulls_every_byte(make_repo, place):
    r = pushed(make_repo, place)
    before = r.snapshot()
    for name in ("d", "f", ".dvc/cache"):
        r.rm(name)
    out = r.gd("pull").out
    assert out == "A       d/\nA       f\n5 files fetched and 4 files added\n"
    assert r.snapshot() == before
    assert all(mode == "0o444" for mode, _ in r.cache().values())
    assert r.gd("pull").out == "Everything is up to date.\n"


def test_one_file_of_a_directory_needs_two_objects(make_repo, place):
    r = pushed(make_repo, place)
    r.rm("d")
    r.rm(".dvc/cache")
    assert "2 files fetched" in r.gd("pull", "d/sub/b").out
    assert r.read("d/sub/b") == b"two" and not r.exists("d/a")
    assert len(r.cache()) == 2


def test_an_incomplete_remote_is_completed(make_repo, place):
    """The manifest is there and a child is not: DVC says up to date, we send the child."""
    r = pushed(make_repo, place)
    place.delete(key_of(b"two"))
    assert "d/sub/b" in r.gd("status", "-c").out
    assert r.gd("push").out == "1 file pushed\n"
    assert place.read(key_of(b"two")) == b"two"
    assert r.gd("push").out == "Everything is up to date.\n"


def test_check_replaces_an_object_of_another_length(make_repo, place):
    r = pushed(make_repo, place)
    place.write(key_of(b"two"), b"two and more")
    assert r.gd("push", "--check").out == "1 file pushed\n"
    assert place.read(key_of(b"two")) == b"two"


def test_a_wrong_object_never_enters_the_cache(make_repo, place):
    r = pushed(make_repo, place)
    r.rm("d")
    r.rm(".dvc/cache")
    place.write(key_of(b"two"), b"owt")
    p = r.gd("fetch", code=None)
    assert p.code == 1 and md5(b"two") in p.err and "d/sub/b" in p.err
    names = r.cache()
    assert not any(md5(b"two")[2:] in n for n in names)
    assert not any(n.endswith(".dir") for n in names)
    assert all(md5(data) == n.split("/", 2)[2].replace("/", "") for n, (_, data) in names.items())
    place.write(key_of(b"two"), b"two")
    assert r.gd("pull").code == 0
    assert r.read("d/sub/b") == b"two"


def test_a_missing_child_keeps_the_manifest_home(make_repo, place):
    r = filled(make_repo, place, FILES)
    r.gd("add", "d", "f")
    (r.path / ".dvc/cache" / key_of(b"two")).unlink()
    p = r.gd("push")
    assert f"md5: {md5(b'two')}" in p.err
    assert not any(k.endswith(".dir") for k in place.keys())
    assert key_of(b"one") in place.keys()


def test_missing_everywhere_is_a_warning(make_repo, place):
    r = pushed(make_repo, place)
    place.delete(key_of(b"three"))
    r.rm(".dvc/cache")
    p = r.gd("fetch")
    assert "4 files fetched" in p.out and f"md5: {md5(b'three')}" in p.err and "WARNING" in p.err


def test_missing_behind_a_manifest_is_an_error(make_repo, place):
    r = pushed(make_repo, place)
    place.delete(key_of(b"two"))
    r.rm(".dvc/cache")
    p = r.gd("fetch", code=1)
    assert f"failed to transfer '{md5(b'two')}' - [Errno 2]" in p.err and "2 files failed to download" in p.err
    assert not any(n.endswith(".dir") for n in r.cache())


def test_dry_run_moves_nothing_and_names_all(make_repo, place):
    r = filled(make_repo, place, FILES)
    r.gd("add", "d", "f")
    p = r.gd("push", "--dry-run")
    assert place.keys() == []
    assert all(md5(v) in p.out for v in FILES.values()) and "would push 5 objects" in p.out
    assert r.gd("push").out == "5 files pushed\n"
    before = r.cache()
    r.rm(".dvc/cache")
    p = r.gd("fetch", "--dry-run")
    assert "would fetch 5 objects" in p.out and not r.exists(".dvc/cache/files")
    r.gd("fetch")
    assert r.cache() == before


def test_json_events_account_for_every_object(make_repo, place):
    r = filled(make_repo, place, FILES)
    r.gd("add", "d", "f")
    rows = [json.loads(line) for line in r.gd("push", "--json").out.splitlines()]
    assert [x["event"] for x in rows] == ["object"] * 5 + ["result"]
    assert {x["md5"] for x in rows[:-1]} >= {md5(v) for v in FILES.values()}
    assert rows[-1]["pushed"] == 5 and rows[-1]["failed"] == []
    assert rows[-2]["md5"].endswith(".dir"), "the manifest goes last"


def test_large_and_awkward_contents(make_repo, place):
    data = os.urandom(3_000_017)
    r = filled(make_repo, place, {"big": data, "nul": b"\0" * 70_000, "one": b"\n"})
    r.gd("add", "big", "nul", "one")
    r.gd("push", "-j", "2")
    assert place.read(key_of(data)) == data
    r.rm(".dvc/cache")
    r.rm("big")
    r.gd("pull")
    assert r.read("big") == data


def test_run_cache_travels(make_repo, place):
    r = filled(make_repo, place, {"in": b"x"})
    r.gd("stage", "add", "-n", "s", "-d", "in", "-o", "out", "cp in out")
    r.gd("repro")
    runs = [k for k in r.cache() if k.startswith("runs/")]
    assert runs
    r.gd("push", "--run-cache")
    assert set(runs) <= set(place.keys())
    r.rm(".dvc/cache")
    r.gd("fetch", "--run-cache")
    assert set(runs) <= set(r.cache())


def test_remote_check_says_what_works(make_repo, place):
    r = make_repo()
    place.add_to(r)
    out = r.gd("remote", "check").out
    for word in ("list", "write", "read", "delete"):
        assert any(line.startswith(word) and "works" in line for line in out.splitlines()), out
    assert place.keys() == []


def test_gc_of_the_remote_leaves_what_is_used(make_repo, place):
    r = pushed(make_repo, place)
    for i in range(3):
        r.write("f", b"newer %d" % i)
        r.gd("add", "f")
        r.gd("push")
    r.write("f", b"new")
    r.gd("add", "f")
    r.gd("push")
    r.gd("gc", "-w", "-c", "-f")
    keys = place.keys()
    assert len(keys) == 5 and key_of(b"three") not in keys and key_of(b"new") in keys and key_of(b"two") in keys


def test_other_tool_reads_what_we_push(make_repo, place):
    r = pushed(make_repo, place)
    before = r.snapshot()
    assert r.dvc("status", "-c").out == "Cache and remote 'r' are in sync.\n"
    for name in ("d", "f", ".dvc/cache"):
        r.rm(name)
    r.dvc("pull")
    assert r.snapshot() == before


def test_we_read_what_the_other_tool_pushes(make_repo, place):
    r = filled(make_repo, place, FILES)
    r.dvc("add", "-q", "d", "f")
    r.dvc("push", "-q")
    before = r.snapshot()
    assert r.gd("push").out == "Everything is up to date.\n"
    for name in ("d", "f", ".dvc/cache"):
        r.rm(name)
    r.gd("pull")
    assert r.snapshot() == before
