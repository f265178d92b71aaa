"""What a stage may not lose or leave: outputs that no cache has, commands that write on after their stage has failed."""
import os
import signal
import subprocess
import time

import pytest
from harness import GIT_DATA

MINE = "made by hand\n"
TRAIN = "stages:\n  train:\n    cmd: echo run >> runs; test ! -e stop && cat in > model\n    deps: [in]\n    params: [p.yaml: [lr]]\n    outs: [model]\n"


def recorded(repo):
    """A finished stage whose output was then made anew by hand: nothing but the work tree has it."""
    repo.write("in", "1\n")
    repo.write("p.yaml", "lr: 1\n")
    repo.write("dvc.yaml", TRAIN)
    repo.gd("repro")
    repo.rm("model")
    repo.write("model", MINE)
    repo.write("stop", "")
    repo.write("in", "2\n")


def drop_cache(repo):
    for p in (repo.path / ".dvc/cache/files").rglob("*"):
        if p.is_file():
            p.unlink()


def kept(repo):
    return repo.exists("model") and repo.text("model") == MINE


def test_an_output_of_which_the_cache_lacks_the_object_is_put_back(repo):
    """--allow-missing forgives that the recorded object is not there; the file in its place is another one."""
    recorded(repo)
    drop_cache(repo)
    repo.gd("repro", "--allow-missing", code=255)
    assert kept(repo)


def test_an_output_that_was_not_compared_is_put_back(repo):
    """The changed dependency is reason enough; of the broken parameters nothing is said, nor was the output looked at."""
    recorded(repo)
    repo.write("p.yaml", "lr: [\n")
    repo.gd("repro", code=255)
    assert kept(repo)


LATE = "(trap '' INT; touch started; sleep 1.5; echo late > model) & wait"


def begin(repo, *args):
    p = subprocess.Popen([GIT_DATA, "repro", *args], cwd=repo.path, env=repo.env, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    for _ in range(2000):
        if repo.exists("started") or p.poll() is not None:
            return p
        time.sleep(0.01)
    pytest.fail("the command does not start")


@pytest.mark.parametrize("sig, jobs", [(signal.SIGTERM, "1"), (signal.SIGTERM, "2"), (signal.SIGINT, "2")])
def test_what_the_shell_leaves_is_ended_before_outputs_are_put_back(repo, sig, jobs):
    recorded(repo)
    repo.rm("stop")
    repo.write("dvc.yaml", TRAIN.replace("test ! -e stop && cat in > model", LATE))
    p = begin(repo, "-j", jobs)
    os.kill(p.pid, sig)
    p.communicate(timeout=60)
    assert p.returncode
    time.sleep(1.8)
    assert kept(repo), "a command of the ended run wrote into the output"


def test_a_second_attempt_does_not_run_beside_the_first(repo):
    repo.write("dvc.yaml", "stages:\n  s:\n    cmd: if test -e one; then sleep 1.5; echo two >> out; else touch one; "
               "(sleep 1; echo one >> out) & exit 1; fi\n    meta: {git-data: {retries: 1}}\n    outs: [out]\n")
    repo.gd("repro")
    assert repo.text("out") == "two\n"


def test_a_failed_stage_does_not_keep_ctrl_c_from_the_others(repo):
    repo.write("dvc.yaml", "stages:\n  a:\n    cmd: until test -e started; do sleep 0.01; done; false\n"
               "  b:\n    cmd: touch started; exec sleep 30\n")
    p = begin(repo, "-j", "2")
    time.sleep(0.5)
    assert p.poll() is None
    os.kill(p.pid, signal.SIGINT)
    p.communicate(timeout=20)
    assert p.returncode


def test_a_lock_that_cannot_be_retaken_ends_the_run(repo):
    """Somebody holds the repository lock when the stage ends, and the user gives up: no hang, nothing is lost."""
    recorded(repo)
    repo.write("dvc.yaml", TRAIN.replace("test ! -e stop && cat in > model", "trap '' INT; touch started; until test -e go; do sleep 0.01; done; echo new > model"))
    p = begin(repo, "-j", "2")
    lock = subprocess.Popen(["flock", repo.path / ".dvc/tmp/lock", "sh", "-c", "touch locked; exec sleep 60"], cwd=repo.path)
    try:
        while not repo.exists("locked"):
            time.sleep(0.01)
        os.kill(p.pid, signal.SIGINT)
        time.sleep(0.3)
        repo.write("go", "")
        out = p.communicate(timeout=20)[0]
    finally:
        lock.kill()
        lock.wait()
    assert p.returncode == 252, out
    aside = list((repo.path / ".dvc/tmp/aside").rglob("0"))
    assert [f.read_text() for f in aside] == [MINE]
    repo.gd("repro")
    assert repo.text("model") == "new\n"


def left_by_a_killed_run(repo, name="model"):
    """What it moved aside; the list is on disk, the process is gone."""
    repo.write(name, MINE)
    repo.gd("repro", code=-signal.SIGKILL, env={"GIT_DATA_FAULT": "aside.taken:1"})
    assert not repo.exists(name)
    return next((repo.path / ".dvc/tmp/aside").iterdir())


def test_what_another_machine_set_aside_is_left_to_it(repo):
    """.dvc on a shared disk: its process numbers are those of other processes here."""
    repo.write("dvc.yaml", "stages:\n  a:\n    cmd: echo 1 > model\n    outs: [model]\n  b:\n    cmd: echo 2 > other\n    outs: [other]\n")
    d = left_by_a_killed_run(repo)
    theirs = d.parent / (d.name.rpartition("-")[0] + "-00000000")
    d.rename(theirs)
    repo.gd("repro", "b")
    assert not repo.exists("model") and (theirs / "0").read_text() == MINE
    theirs.rename(d)
    repo.gd("repro", "b", "-f")
    assert repo.text("model") == MINE and not d.exists()


def test_an_output_whose_name_has_a_line_end_is_put_back_under_it(repo):
    repo.write("dvc.yaml", 'stages:\n  a:\n    cmd: echo 1 > model\n    outs: ["a\\nb"]\n  b:\n    cmd: echo 2 > other\n    outs: [other]\n')
    left_by_a_killed_run(repo, "a\nb")
    repo.gd("repro", "b")
    assert repo.text("a\nb") == MINE and not repo.exists("a")


def test_pull_from_a_remote_that_does_not_answer_runs_nothing(repo):
    repo.write("dvc.yaml", "stages:\n  a:\n    cmd: echo 1 > model\n    outs: [model]\n")
    repo.gd("remote", "add", "-d", "r", "ssh://127.0.0.1:9/x")
    repo.gd("repro", "--pull", code=255)
    assert not repo.exists("model")
    repo.gd("repro", "--pull", "--no-run-cache")
