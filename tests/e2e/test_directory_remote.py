"""A directory as a remote: what killed pushes leave is taken away, what is pushed is whole and on the disk."""
import errno
import fcntl
import os
import signal
import time
from pathlib import Path

import pytest

from failsys import build
from harness import GIT_DATA

DAY = 24 * 60 * 60
MB = 1 << 20


@pytest.fixture
def pushing(repo, tmp_path):
    """A repository whose push was killed before one object got its name."""
    repo.gd("remote", "add", "-q", "-d", "store", str(tmp_path / "store"))
    repo.write("f", b"f" * 5000)
    repo.gd("add", "-q", "f")
    repo.store = tmp_path / "store"
    return repo


def killed(r, point="remote-put:1"):
    got = r.gd("push", code=None, env={"GIT_DATA_FAULT": point})
    assert got.code == -signal.SIGKILL, repr(got)


def temps(store):
    return sorted(p.relative_to(store) for p in store.rglob(".*.tmp"))


def journals(store):
    return sorted(store.glob("git-data.push.*"))


def another(r, name, data="another"):
    r.write(name, data)
    r.gd("add", "-q", name)
    r.gd("push", "-q")


def age(path, by):
    old = path.stat().st_mtime - by
    os.utime(path, (old, old))


def from_elsewhere(journal):
    """As a journal that a machine wrote which shares the directory with this one."""
    lines = journal.read_text().splitlines()
    assert lines[0].startswith("host ")
    journal.write_text("\n".join(["host 01234567-89ab-cdef-0123-456789abcdef 42", *lines[1:]]) + "\n")


def test_the_next_push_removes_what_a_killed_one_left(pushing):
    killed(pushing)
    assert len(temps(pushing.store)) == 1 and len(journals(pushing.store)) == 1
    pushing.rm("f.dvc")                                 # so that the same object is not pushed again
    another(pushing, "g")
    assert not temps(pushing.store) and not journals(pushing.store)


def test_gc_removes_what_a_killed_push_left(pushing):
    another(pushing, "g")
    pushing.write("f", "changed")
    pushing.gd("add", "-q", "f")
    killed(pushing)
    pushing.rm("g.dvc")
    pushing.gd("gc", "-w", "-c", "-f")
    assert not temps(pushing.store) and not journals(pushing.store)


def test_a_push_leaves_no_journal(pushing):
    pushing.gd("push")
    assert not journals(pushing.store) and not temps(pushing.store)


def test_temporaries_of_a_push_that_runs_stay(pushing):
    """Its lock says that it runs: its number may be another process's in this container."""
    killed(pushing)
    left = temps(pushing.store)
    journal, = journals(pushing.store)
    with open(journal) as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        another(pushing, "g")
        assert temps(pushing.store) == left and journal.exists()
    another(pushing, "h", "more")
    assert not temps(pushing.store) and not journal.exists()


def test_only_what_its_maker_listed_is_removed(pushing):
    """Temporaries of DVC have names of the same form; they are DVC's."""
    killed(pushing)
    left, = temps(pushing.store)
    of_dvc = pushing.store / left.parent / ".abcdefghijklmnopqrstuv.tmp"
    of_dvc.write_bytes(b"x")
    outside = pushing.path / left.name
    outside.write_bytes(b"mine")
    journal, = journals(pushing.store)
    with open(journal, "a") as f:
        f.write(f"dir {pushing.path}\ndir ../{pushing.path.name}\ndir link\npart ../{pushing.path.name}/{left.name}\n")
    (pushing.store / "link").symlink_to(pushing.path)
    age(outside, 9 * DAY)
    another(pushing, "g")
    assert not (pushing.store / left).exists() and of_dvc.exists() and outside.exists() and not journal.exists()


def test_another_machine_is_believed_dead_after_a_day(pushing):
    """NFS may show no lock of another machine."""
    killed(pushing)
    left, = temps(pushing.store)
    journal, = journals(pushing.store)
    from_elsewhere(journal)
    another(pushing, "g")
    age(journal, DAY + 60)
    another(pushing, "h", "2")
    assert (pushing.store / left).exists() and journal.exists()      # it still writes to this one
    age(pushing.store / left, DAY + 60)
    another(pushing, "i", "3")
    assert not (pushing.store / left).exists() and not journal.exists()


def test_a_journal_that_was_just_made_is_no_dead_one(pushing):
    """Between its making and its lock it is empty."""
    pushing.store.mkdir()
    empty = pushing.store / "git-data.push.99.0123abcd.0"
    empty.touch()
    pushing.gd("push")
    assert empty.exists()


def test_a_part_waits_for_its_push_and_goes_after_a_week(pushing):
    pushing.write("big", os.urandom(MB) * 33)
    pushing.gd("add", "-q", "big")
    pushing.rm("f.dvc")
    killed(pushing)
    part, = temps(pushing.store)
    pointer = pushing.read("big.dvc")
    pushing.rm("big.dvc")
    another(pushing, "g")
    assert temps(pushing.store) == [part] and len(journals(pushing.store)) == 1
    with open(pushing.store / part, "rb+") as f:
        age(pushing.store / part, 8 * DAY)
        fcntl.flock(f, fcntl.LOCK_EX)                   # somebody goes on with it
        another(pushing, "h", "2")
        assert temps(pushing.store) == [part]
    pushing.write("big.dvc", pointer)
    pushing.gd("push")                                  # its own push
    assert not temps(pushing.store)
    another(pushing, "i", "3")
    assert not journals(pushing.store)

    for p in pushing.store.rglob("*"):
        if p.is_file() and p.stat().st_size > MB:
            p.unlink()
    killed(pushing)
    part, = temps(pushing.store)
    age(pushing.store / part, 8 * DAY)
    pushing.rm("big.dvc")
    another(pushing, "j", "4")
    assert not temps(pushing.store) and not journals(pushing.store)


def test_a_push_that_may_not_write_beside_the_objects_works(pushing):
    """Then there is no journal: the remote's own directory belongs to somebody else."""
    for aa in range(256):
        (pushing.store / f"files/md5/{aa:02x}").mkdir(parents=True)
    pushing.run(["chmod", "-R", "777", pushing.store, pushing.path])
    pushing.store.chmod(0o555)
    pushing.gd_unprivileged("push", "-q")
    assert [p for p in pushing.store.rglob("*") if p.is_file()] and not journals(pushing.store)


# ---- reflinks ----

class Failsys:
    def __init__(self, tmp, r):
        self.lib, self.r, self.log = build(tmp), r, tmp / "log"

    def push(self, spec, call, code=0, **more):
        self.log.unlink(missing_ok=True)
        got = self.r.gd("push", code=code, env={
            "LD_PRELOAD": str(self.lib), "FAILSYS": spec, "FAILSYS_UNDER": str(self.r.store.parent),
            "FAILSYS_EXE": Path(GIT_DATA).name, "FAILSYS_LOG": str(self.log), "FAILSYS_CALL": call, **more})
        calls = [int(line.split()[1]) for line in self.log.read_text().splitlines() if line.startswith("calls ")]
        return got, max(calls)


def spoil(r):
    """An object that was changed in place by somebody who set its mode back."""
    obj, = (p for p in (r.path / ".dvc/cache/files").rglob("*") if p.is_file())
    obj.chmod(0o644)
    with open(obj, "rb+") as f:
        f.seek(100)
        f.write(b"X")
    obj.chmod(0o444)


def test_a_corrupt_object_is_not_cloned_into_the_remote(pushing, tmp_path):
    lab = Failsys(tmp_path, pushing)
    _, calls = lab.push("w:0:5", "ioctl", FAILSYS_CLONES="1")
    assert calls == 1, "no reflink was tried"
    obj, = (p for p in pushing.store.rglob("*") if p.is_file())
    assert obj.read_bytes() == b"f" * 5000 and obj.stat().st_mode & 0o777 == 0o444
    obj.unlink()
    spoil(pushing)
    got, _ = lab.push("w:0:5", "ioctl", code=1, FAILSYS_CLONES="1")
    assert "was corrupted" in got.err and not [p for p in pushing.store.rglob("*") if p.is_file()], got


# ---- on the disk ----

@pytest.mark.parametrize("files, call", [(1, "fsync"), (40, "syncfs")])
@pytest.mark.parametrize("setting", [None, "batch", "deferred"])
def test_success_is_told_once_it_is_on_the_disk(pushing, tmp_path, setting, files, call):
    """A few files are flushed by name, many with the file system they are on."""
    for i in range(1, files):
        pushing.write(f"d/{i}", f"content {i}")
    if files > 1:
        pushing.gd("add", "-q", "d")
    if setting:
        pushing.gd("config", "core.fsync", setting)
    lab = Failsys(tmp_path, pushing)
    if setting != "deferred":
        got, _ = lab.push(f"w:1:{errno.EIO}", call, code=1)
        assert "cannot flush" in got.err and "Input/output error" in got.err and "pushed" not in got.out, got
        pushing.run(["rm", "-rf", pushing.store])
    got, calls = lab.push("w:0:5", call)
    assert f"{files + (files > 1)} file{'s' if files > 1 else ''} pushed" in got.out, got
    assert calls == 0 if setting == "deferred" else calls > 0, calls
    _, calls = lab.push("w:0:5", call)
    assert calls == 0, "nothing was written, nothing is flushed"


def test_a_short_object_is_pushed_again(pushing):
    """What a power cut leaves of a push that was not flushed: DVC's never are. A manifest's members have no size."""
    for i in range(5):
        pushing.write(f"d/{i}", f"content {i}")
    pushing.gd("add", "-q", "d")
    pushing.gd("push", "-q")
    objects = {p: p.read_bytes() for p in pushing.store.rglob("*") if p.is_file()}
    for n, p in enumerate(sorted(objects)):
        p.chmod(0o644)
        p.write_bytes(p.read_bytes()[:n])
        p.chmod(0o444)
    pushing.gd("push")
    assert {p: p.read_bytes() for p in pushing.store.rglob("*") if p.is_file()} == objects
    assert pushing.gd("push").out == "Everything is up to date.\n"
