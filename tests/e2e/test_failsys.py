"""One system call fails: the command says so, or its work is done and right; nothing of the user's is gone, no object is
wrong, and the next run converges. What is checked is in failsys.py, which also walks every call of a case by hand;
here some calls of each case are taken, the same ones in every run."""
import errno
import random
from pathlib import Path

import pytest

from failsys import CASES, SHORT, Case, Lab, build, content, is_marked, tracked, user_bytes
from harness import GIT_DATA

CALLS = 3               # of each case, set and way to fail
WAYS = [("w", str(errno.ENOSPC)), ("w", f"{errno.EDQUOT}+"), ("w", str(errno.EIO)), ("w", SHORT), ("w", str(errno.EINTR)),
        ("r", str(errno.EIO)), ("r", SHORT), ("m", str(errno.ENOMEM))]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_a_call_that_fails(case, tmp_path, env):
    lab = Lab(tmp_path, env)
    rng = random.Random(case.name)
    wrong = []
    for kind, how in WAYS:
        calls = lab.goal(case, kind, how)[0]
        for n in rng.sample(range(1, calls + 1), min(CALLS, calls)):
            failed, said, bad = lab.judge(case, kind, n, how)
            wrong += [f"{kind}:{n}:{how} {failed} -> {said}\n    {b}" for b in bad]
    assert not wrong, "\n".join(wrong)


def test_rules_that_cannot_be_read_are_no_empty_rules(repo):
    repo.rm(".dvcignore")
    repo.write(".dvcignore/x", "a directory cannot be read")
    repo.write("d/f", "f")
    for argv in (["add", "d"], ["add", "d", "--no-commit"]):
        got = repo.gd(*argv, code=255)
        assert ".dvcignore': Is a directory" in got.err and not repo.exists("d.dvc"), got


def case_of(name):
    return next(c for c in CASES if c.name == name)


def test_a_flush_that_fails_is_told(tmp_path, env):
    """core.fsync = batch: it was asked for that the objects are on the disk when the command ends."""
    lab = Lab(tmp_path, env)
    r = lab.prepared(case_of("add-batch"))
    got, calls, failed = lab.run(r, case_of("add-batch"), f"w:1:{errno.EIO}", call="syncfs")
    assert calls == 1 and failed, (calls, failed)
    assert got.code == 1 and "Input/output error" in got.err, got
    assert is_marked(r)
    r.write("other", "other")
    r.gd("add", "other")
    assert not is_marked(r)


def test_a_push_that_is_not_on_the_disk_is_no_success(tmp_path, env):
    """What was pushed into a directory is flushed, too, before manifests and at the end."""
    lab = Lab(tmp_path, env)
    r = lab.prepared(case_of("push-batch"))
    got, calls, failed = lab.run(r, case_of("push-batch"), f"w:1:{errno.EIO}", call="fsync")
    assert failed and got.code == 1 and "Input/output error" in got.err and "pushed" not in got.out, got
    r = lab.prepared(case_of("push-batch"))
    got, calls, _ = lab.run(r, case_of("push-batch"), "w:0:5", call="fsync")
    assert got.code == 0 and calls >= 2, (got, calls)


def test_objects_that_are_flushed_one_by_one_need_no_more(tmp_path, env):
    lab = Lab(tmp_path, env)
    r = lab.prepared(case_of("add-object"))
    got, calls, _ = lab.run(r, case_of("add-object"), "w:0:5", call="syncfs")
    assert (got.code, calls) == (0, 0) and not is_marked(r)


@pytest.mark.parametrize("argv", [["get-url", "data", "copy"], ["list-url", "data"], ["unprotect", "data"]], ids=lambda a: a[0])
def test_a_directory_that_cannot_be_read_to_its_end_is_no_shorter_one(argv, tmp_path, env):
    case = Case("walk", argv, tracked)
    lab = Lab(tmp_path, env)
    calls = lab.run(lab.prepared(case), case, f"r:0:{errno.EIO}", call="readdir64")[1]
    assert calls
    for n in range(1, calls + 1):
        r = lab.prepared(case)
        got, _, failed = lab.run(r, case, f"r:{n}:{errno.EIO}", call="readdir64")
        if failed != ["readdir64 /.dvc/tmp"]:           # left temporaries stay for the next run to remove
            assert failed and got.code and "Input/output error" in got.err, (n, failed, got)
            assert not r.exists("copy")


@pytest.mark.parametrize("argv", [["add", "f"], ["status"], ["config", "core.analytics", "false"], ["root"]])
def test_a_repository_that_cannot_be_looked_at_is_not_the_one_around_it(repo, tmp_path, argv):
    repo.gd("init", "-q", "--subdir", cwd=repo.write("in/f", "f").parent)
    inner = repo.path / "in"
    before = repo.snapshot()
    env = {"LD_PRELOAD": str(build(tmp_path)), "FAILSYS": f"r:1:{errno.EIO}", "FAILSYS_UNDER": str(inner / ".dvc"),
           "FAILSYS_EXE": Path(GIT_DATA).name, "FAILSYS_CALL": "stat64"}
    said = repo.gd(*argv, cwd="in", env=env, code=None)
    assert said.code and f"cannot look at '{inner}/.dvc': Input/output error" in said.err, said
    assert repo.snapshot() == before


def test_init_on_a_full_disk_leaves_the_old_repository(tmp_path, env):
    lab = Lab(tmp_path, env)
    r = lab.prepared(case_of("push"))
    before = r.snapshot(), r.cache()
    got, calls, failed = lab.run(r, Case("init", ["init", "-f"], None), f"w:1:{errno.ENOSPC}+", call="mkdirat")
    assert failed and got.code and "No space left on device" in got.err, got
    assert (r.snapshot(), r.cache()) == before


@pytest.mark.parametrize("argv, spec, call", [(["add", "data"], "w:1", "renameat"), (["add", "data", "one.bin"], "w:3", "rename"),
                                              (["add", "one.bin", "data"], "w:2", "rename")])
def test_what_add_could_not_write_down_is_not_taken_away(tmp_path, env, argv, spec, call):
    """checkout removes what was tracked and has no pointer any more; a file whose pointer was never written is the user's."""
    lab = Lab(tmp_path, env)
    r = lab.prepared(case_of("add"))
    mine = user_bytes(r)
    got, _, failed = lab.run(r, Case("add", argv, None), f"{spec}:{errno.ENOSPC}+", call=call)
    assert failed and got.code == 1 and "No space left on device" in got.err, (got, failed)
    assert not all(r.exists(f"{n}.dvc") for n in argv[1:])
    gone = r.gd("checkout").out
    assert mine <= content(r.path) and r.exists("data/a") and r.exists("one.bin"), gone
    r.gd("gc", "-w", "-f")
    assert mine <= content(r.path)
