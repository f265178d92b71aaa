"""Two processes at once: the end is one of those that one after the other would give, and no byte is lost."""
import hashlib
import json
import os
import random
import signal
import subprocess
import threading
import time

import pytest

from harness import DVC, GIT_DATA

ROUNDS = 6


def md5(data):
    return hashlib.md5(data).hexdigest()


def at_once(repo, *commands, delay=None):
    """Starts all, a random moment apart; gives (code, out, err) of each."""
    ps = []
    for argv in commands:
        tool = GIT_DATA
        if argv[0] == "@dvc":
            tool, argv = DVC, argv[1:]
        if ps:
            time.sleep(random.random() * 0.02 if delay is None else delay)
        ps.append(subprocess.Popen([tool, *argv], cwd=repo.path, env=repo.env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    out = [p.communicate(timeout=120) for p in ps]
    return [(p.returncode, *o) for p, o in zip(ps, out)]


def fine(results, ok=(0,)):
    """Each did its work, or said that another has the lock."""
    for code, out, err in results:
        if code not in ok:
            assert code in (1, 255) and ("lock" in err.lower() or "busy" in err), (code, out, err)


def settle(repo):
    """No lock is left, the cache is sound, and everything that a .dvc file names can be given out."""
    rw = repo.path / ".dvc/tmp/rwlock"
    assert not rw.exists() or not any(json.loads(rw.read_text() or "{}").values())
    for name, (mode, data) in repo.cache().items():
        if name.startswith("runs/"):
            continue
        h = name.removeprefix("files/md5/").replace("/", "")
        assert h.removesuffix(".dir") == md5(data), name
    junk = [p for p in repo.path.rglob("*") if ".git/" not in str(p) and (p.name.endswith(".tmp") or p.name.startswith(".tmp"))
            and "/.dvc/tmp/" not in str(p)]
    assert not junk, junk


def fill(repo, top, n, tag=""):
    files = {f"{top}/f{i}": f"{tag or top} {i}\n".encode() * 50 for i in range(n)}
    for name, data in files.items():
        repo.write(name, data)
    return files


def have(repo, files):
    for name, data in files.items():
        assert repo.read(name) == data, name


def given_out_again(repo, files):
    for top in {f.split("/")[0] for f in files}:
        repo.rm(top)
    repo.gd("checkout", "-f")
    have(repo, files)


def test_add_and_add_of_two(repo):
    for i in range(ROUNDS):
        a, b = fill(repo, f"a{i}", 30, "same"), fill(repo, f"b{i}", 30, "same")
        res = at_once(repo, ("add", f"a{i}"), ("add", f"b{i}"))
        fine(res)
        done = [f for f, r in zip((a, b), res) if not r[0]]
        assert done
        have(repo, {**a, **b})
        for f in done:
            given_out_again(repo, f)
        settle(repo)
        repo.gd("add", "-q", f"a{i}", f"b{i}")


def test_add_and_add_of_one(repo):
    for i in range(ROUNDS):
        files = fill(repo, "a", 30, f"r{i}")
        res = at_once(repo, ("add", "a"), ("add", "a"))
        fine(res)
        assert not all(r[0] for r in res)
        given_out_again(repo, files)
        settle(repo)
        assert repo.gd("status", "--json").json == {}


def test_add_and_gc(repo):
    keep = fill(repo, "keep", 20)
    repo.gd("add", "-q", "keep")
    every = dict(keep)
    for i in range(ROUNDS):
        new = fill(repo, f"n{i}", 40)
        res = at_once(repo, ("add", f"n{i}"), ("gc", "-w", "-f"))
        fine(res)
        if not res[0][0]:
            every.update(new)
            given_out_again(repo, every)
        have(repo, new)
        settle(repo)
        repo.gd("add", "-q", f"n{i}")
        every.update(new)


def test_push_and_gc(repo, tmp_path):
    repo.gd("remote", "add", "-q", "-d", "r", str(tmp_path / "store"))
    files = fill(repo, "d", 60)
    repo.gd("add", "-q", "d")
    for i in range(ROUNDS):
        fill(repo, "old", 40, f"junk{i}")
        repo.gd("add", "-q", "old")
        repo.gd("remove", "-q", "old.dvc")
        repo.rm("old")
        res = at_once(repo, ("push",), ("gc", "-w", "-f"))
        fine(res)
        settle(repo)
        given_out_again(repo, files)
    repo.gd("push")
    repo.rm(".dvc/cache")
    repo.rm("d")
    repo.gd("pull")
    have(repo, files)


def test_checkout_and_add(repo):
    one = fill(repo, "d", 40, "one")
    repo.gd("add", "-q", "d")
    repo.commit("one")
    first = repo.text("d.dvc")
    for i in range(ROUNDS):
        two = fill(repo, "d", 40, f"two{i}")
        res = at_once(repo, ("checkout", "-f", "d.dvc"), ("add", "d"))
        fine(res)
        settle(repo)
        assert repo.snapshot("d") in (one, two), "a mixture"
        if repo.text("d.dvc") != first:
            assert repo.snapshot("d") == two
            given_out_again(repo, two)
        repo.write("d.dvc", first)
        repo.gd("checkout", "-f")
        have(repo, one)


def test_pull_and_pull(repo, tmp_path):
    repo.gd("remote", "add", "-q", "-d", "r", str(tmp_path / "store"))
    files = fill(repo, "d", 80)
    repo.gd("add", "-q", "d")
    repo.gd("push", "-q")
    for _ in range(ROUNDS):
        repo.rm(".dvc/cache")
        repo.rm("d")
        res = at_once(repo, ("pull",), ("pull",))
        fine(res)
        assert not all(r[0] for r in res)
        have(repo, files)
        settle(repo)


def test_repro_and_status(repo):
    repo.write("in", "in\n")
    repo.write("dvc.yaml", "stages:\n  s:\n    cmd: cp in out && sleep 0.3\n    deps: [in]\n    outs: [out]\n")
    for i in range(3):
        repo.write("in", f"in {i}\n")
        res = at_once(repo, ("repro",), ("status", "--json"), ("repro",), ("data", "status", "--json"), delay=0.05)
        fine(res)
        assert res[1][0] == 0 and res[3][0] == 0 and not (res[0][0] and res[2][0]), res
        assert repo.read("out") == f"in {i}\n".encode()
        assert repo.gd("status", "--json").json == {}
        settle(repo)


def test_config_writers(repo):
    """None of the settings is lost."""
    names = [f"r{i}" for i in range(8)]
    res = at_once(repo, *[("remote", "add", n, f"/nowhere/{n}") for n in names], delay=0)
    fine(res)
    got = {line.split()[0] for line in repo.gd("remote", "list").out.splitlines()}
    assert got == {n for n, r in zip(names, res) if not r[0]} and got


def test_both_tools_turn_about(repo):
    files = {}
    for i in range(2):
        a, b = fill(repo, f"a{i}", 20, "same"), fill(repo, f"b{i}", 20, "same")
        res = at_once(repo, ("@dvc", "add", f"a{i}"), ("add", f"b{i}"), delay=0.6)
        fine(res)
        for top, f, r in ((f"a{i}", a, res[0]), (f"b{i}", b, res[1])):
            if r[0]:
                repo.gd("add", "-q", top)
            files.update(f)
        given_out_again(repo, files)
        settle(repo)


def test_the_holder_is_named_and_a_dead_one_cleared(repo):
    repo.write("f", "f\n")
    me = os.getpid()
    repo.write(".dvc/tmp/rwlock", json.dumps({"write": {str(repo.path / "f"): {"pid": me, "cmd": "dvc add f"}}}))
    said = repo.gd("add", "f", code=None)
    assert said.code and f"(PID {me}): dvc add f" in said.err
    assert not repo.exists("f.dvc") and repo.read("f") == b"f\n"
    p = subprocess.Popen(["true"])
    p.wait()
    repo.write(".dvc/tmp/rwlock", json.dumps({"write": {str(repo.path / "f"): {"pid": p.pid, "cmd": "dvc add f"}}}))
    said = repo.gd("add", "f")
    assert "had been killed" in said.err
    settle(repo)


# ---- what moves under the tool's hands ----

def test_a_file_that_is_written_while_it_is_added(repo):
    """Whatever add says, the object under a name has the content of that name, and the writer's bytes stay."""
    p = repo.write("f", os.urandom(1 << 20))
    stop = threading.Event()

    def writer():
        with open(p, "r+b") as f:
            while not stop.is_set():
                f.seek(random.randrange(1 << 20))
                f.write(os.urandom(64))
                f.flush()

    t = threading.Thread(target=writer)
    t.start()
    try:
        said = [repo.gd("add", "f", code=None) for _ in range(5)]
    finally:
        stop.set()
        t.join()
    for s in said:
        assert s.code == 0 or "chang" in s.err, repr(s)
    settle(repo)
    last = repo.read("f")
    repo.gd("add", "f")
    assert repo.read("f") == last
    settle(repo)
    repo.rm("f")
    repo.gd("checkout")
    assert repo.read("f") == last


def test_a_file_that_grows_while_it_is_added(repo):
    (repo.path / "d").mkdir()
    stop = threading.Event()

    def grower():
        i = 0
        while not stop.is_set():
            with open(repo.path / f"d/log{i % 7}", "ab") as f:
                f.write(b"line\n" * 1000)
            i += 1

    t = threading.Thread(target=grower)
    t.start()
    try:
        time.sleep(0.05)
        said = [repo.gd("add", "d", code=None) for _ in range(5)]
    finally:
        stop.set()
        t.join()
    for s in said:
        assert s.code == 0 or "chang" in s.err or "vanish" in s.err, repr(s)
    settle(repo)
    last = repo.snapshot("d")
    repo.gd("add", "d")
    assert repo.snapshot("d") == last
    repo.rm("d")
    repo.gd("checkout")
    assert repo.snapshot("d") == last


@pytest.mark.parametrize("verb", [("checkout", "-f"), ("add", "data")], ids=lambda v: v[0])
def test_a_directory_swapped_for_a_link(repo, tmp_path, verb):
    """Somebody exchanges data/sub and a link to elsewhere all the time: nothing is written or removed elsewhere."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious\n")
    for i in range(30):
        repo.write(f"data/sub/f{i}", f"{i}\n")
        (outside / f"f{i}").write_bytes(b"theirs\n")
    repo.write("data/sub/precious", "mine\n")
    repo.gd("add", "-q", "data")
    before = {p.name: p.read_bytes() for p in outside.iterdir()}
    sub, away = repo.path / "data/sub", tmp_path / "away"
    stop = threading.Event()

    def swapper():
        while not stop.is_set():
            try:
                os.rename(sub, away)
                os.symlink(outside, sub)
                time.sleep(random.random() * 0.003)
                os.unlink(sub)
                os.rename(away, sub)
                time.sleep(random.random() * 0.003)
            except OSError:             # the tool made or removed it in between
                try:
                    if os.path.islink(sub):
                        os.unlink(sub)
                    os.makedirs(sub, exist_ok=True)
                    if away.exists():
                        os.rename(away, tmp_path / f"old{time.time_ns()}")
                except OSError:
                    pass

    t = threading.Thread(target=swapper)
    t.start()
    try:
        for i in range(25):
            try:
                fd = os.open(sub, os.O_DIRECTORY | os.O_NOFOLLOW)
                for k in range(0, 30, 3):
                    os.unlink(f"f{k}", dir_fd=fd)
            except OSError:
                pass
            said = repo.gd(*verb, code=None, timeout=60)
            assert said.code in (0, 1, 255) and "Sanitizer" not in said.err, repr(said)
            now = {p.name: p.read_bytes() for p in outside.iterdir()}
            assert now == before, said
    finally:
        stop.set()
        t.join()


def stopped_at(repo, point, *argv):
    """Starts the tool; returns when it stands still at the fault point."""
    p = subprocess.Popen([GIT_DATA, *argv], cwd=repo.path, env={**repo.env, "GIT_DATA_FAULT": f"{point}:1:stop"},
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(2000):
        if open(f"/proc/{p.pid}/stat").read().rsplit(")", 1)[1].split()[0] == "T":
            return p
        assert p.poll() is None, p.communicate()
        time.sleep(0.005)
    p.kill()
    raise AssertionError(f"{point} was not reached")


def go_on(p):
    os.kill(p.pid, signal.SIGCONT)
    out, err = p.communicate(timeout=60)
    return p.returncode, out, err


def overwrite(path):
    path.chmod(0o644)
    path.write_bytes(b"the user's last word")


def replace_as_editors_do(path):
    other = path.with_name("other")
    other.write_bytes(b"the user's last word")
    os.replace(other, path)


def make_a_directory(path):
    path.unlink()
    path.mkdir()
    (path / "in").write_bytes(b"the user's last word")


@pytest.mark.parametrize("link, meddle", [
    ("copy", overwrite), *[(k, f) for k in ("copy", "hardlink", "symlink") for f in (replace_as_editors_do, make_a_directory)]])
def test_a_change_at_the_last_moment_is_given_back(repo, link, meddle):
    """checkout has decided to replace a file, and has the new one ready, when the user writes."""
    repo.gd("config", "cache.type", link)
    repo.write("d/f", b"one")
    repo.gd("add", "d")
    old = repo.read("d.dvc")
    repo.rm("d/f")
    repo.write("d/f", b"two")
    repo.gd("add", "d")
    repo.write("d.dvc", old)
    p = stopped_at(repo, "place.swap", "checkout", "d.dvc")
    meddle(repo.path / "d/f")
    code, out, err = go_on(p)
    assert code == 255 and "d/f' was changed by somebody else" in err, (code, err)
    assert repo.read("d/f/in" if meddle is make_a_directory else "d/f") == b"the user's last word"
    assert os.listdir(repo.path / "d") == ["f"]
    code = repo.gd("checkout", "d.dvc", code=None)
    assert code.code != 0 and repo.exists("d/f")
    repo.gd("checkout", "-f", "d.dvc")
    assert repo.read("d/f") == b"one"


def test_a_file_removed_at_the_last_moment_is_no_hindrance(repo):
    repo.write("f", b"one")
    repo.gd("add", "f")
    old = repo.read("f.dvc")
    repo.write("f", b"two")
    repo.gd("add", "f")
    repo.write("f.dvc", old)
    p = stopped_at(repo, "place.swap", "checkout", "f.dvc")
    repo.rm("f")
    assert go_on(p)[0] == 0
    assert repo.read("f") == b"one"


def test_add_does_not_link_over_what_was_written_meanwhile(repo):
    repo.gd("config", "cache.type", "symlink")
    repo.write("f", b"one")
    p = stopped_at(repo, "place.swap", "add", "f")
    replace_as_editors_do(repo.path / "f")
    code, out, err = go_on(p)
    assert code == 1 and "changed by somebody else" in err, (code, err)
    assert repo.read("f") == b"the user's last word"


def test_threads_that_find_out_together_how_to_link(repo):
    """Without the privilege to link a bare descriptor every worker falls back, not the first alone."""
    for n in range(4):
        fill(repo, f"d{n}", 300, f"{n}")
        repo.gd_unprivileged("add", "-q", f"d{n}")
    settle(repo)


def test_a_good_object_is_not_set_aside_for_the_bad_one_before_it(repo):
    repo.write("f", "good\n")
    repo.gd("add", "-q", "f")
    h = md5(b"good\n")
    name = f".dvc/cache/files/md5/{h[:2]}/{h[2:]}"
    repo.rm("f")
    repo.rm(name)
    repo.write(name, "bad\n", 0o644)
    p = stopped_at(repo, "store.aside", "checkout")
    repo.rm(name)
    repo.write(name, "good\n", 0o444)
    go_on(p)
    assert repo.text(name) == "good\n"
    assert not list((repo.path / ".dvc/cache/git-data.quarantine").iterdir())
    repo.gd("checkout")
    assert repo.text("f") == "good\n"


def test_what_changes_between_the_question_and_the_commit_is_not_recorded(repo):
    repo.write("f", "one\n")
    repo.gd("add", "-q", "f")
    pointer = repo.read("f.dvc")
    p = stopped_at(repo, "commit.store", "commit")
    repo.rm("f")
    repo.write("f", "two or more\n")
    code, _, err = go_on(p)
    assert code and "'f' changed while it was committed" in err and repo.read("f.dvc") == pointer
    assert repo.text("f") == "two or more\n"
