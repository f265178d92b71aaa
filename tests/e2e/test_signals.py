"""SIGINT, SIGTERM and SIGHUP at any moment: the status that other programs have, locks given back, nothing of ours left in
the work tree, and the same command afterwards does all that there is to do."""
import json
import os
import shutil
import signal
import subprocess
import time

import pytest
from harness import DVC, GIT_DATA

STATUS = {signal.SIGINT: 252, signal.SIGTERM: -signal.SIGTERM, signal.SIGHUP: -signal.SIGHUP}


def start(repo, argv, n, **kw):
    return subprocess.Popen([GIT_DATA, *argv], cwd=repo.path, env={**repo.env, "GIT_DATA_FAULT": f"any:{n}:stop"},
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kw)


def state_of(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()[0]


def stands_still(p):
    """True at the fault point, False when the process ended before."""
    for _ in range(4000):
        if p.poll() is not None:
            return False
        if state_of(p.pid) == "T":
            return True
        time.sleep(0.002)
    raise AssertionError("neither stopped nor ended")


def is_clean(repo):
    left = [str(p) for p in repo.path.rglob("*") if p.name.endswith(".tmp") and ".git/" not in str(p)]
    assert not left, left
    rw = repo.path / ".dvc/tmp/rwlock"
    assert not rw.exists() or not any(json.loads(rw.read_text() or "{}").values())
    assert not list((repo.path / ".dvc/tmp").glob("git-data.temps.*"))


def prepare_add(repo, tmp_path):
    for i in range(40):
        repo.write(f"d/s{i % 3}/f{i}", f"{i}" * 100)


def prepare_checkout(repo, tmp_path):
    prepare_add(repo, tmp_path)
    repo.gd("add", "d")
    shutil.rmtree(repo.path / "d")


def prepare_push(repo, tmp_path):
    prepare_add(repo, tmp_path)
    repo.gd("add", "d")
    repo.gd("remote", "add", "-d", "r", str(tmp_path / "remote"))


def prepare_pull(repo, tmp_path):
    prepare_push(repo, tmp_path)
    repo.gd("push")
    shutil.rmtree(repo.path / ".dvc/cache")
    shutil.rmtree(repo.path / "d")


def prepare_repro(repo, tmp_path):
    repo.write("dvc.yaml", "stages:\n" + "".join(
        f"  s{i}:\n    cmd: echo {i} >o{i}\n    outs: [o{i}]\n" for i in range(4)))


def prepare_commit(repo, tmp_path):
    prepare_add(repo, tmp_path)
    repo.gd("add", "d")
    for i in range(40):
        repo.write(f"d/s{i % 3}/f{i}", f"new {i}" * 100)


def prepare_gc(repo, tmp_path):
    prepare_add(repo, tmp_path)
    repo.gd("add", "d")
    repo.gd("remove", "d.dvc")


COMMANDS = {
    "add": (prepare_add, ["add", "d"]), "checkout": (prepare_checkout, ["checkout"]), "push": (prepare_push, ["push"]),
    "pull": (prepare_pull, ["pull"]), "repro": (prepare_repro, ["repro"]), "commit": (prepare_commit, ["commit", "-f"]),
    "gc": (prepare_gc, ["gc", "-w", "-f"]),
}


@pytest.mark.parametrize("what", COMMANDS)
def test_a_signal_ends_it_cleanly(repo, tmp_path, what):
    prepare, argv = COMMANDS[what]
    prepare(repo, tmp_path)
    seen = 0
    for n, sig in ((2, signal.SIGTERM), (5, signal.SIGINT), (17, signal.SIGTERM), (40, signal.SIGHUP), (75, signal.SIGTERM)):
        p = start(repo, argv, n)
        if stands_still(p):
            os.kill(p.pid, sig)
            os.kill(p.pid, signal.SIGCONT)
            seen += 1
        out, err = p.communicate(timeout=60)
        assert p.returncode in (0, STATUS[sig]), (n, p.returncode, err)
        assert p.returncode == 0 or "interrupted by the user" in err or "terminated" in err, err
        is_clean(repo)
    assert seen
    repo.gd(*argv)
    if what == "add":
        assert repo.exists("d.dvc")
    if what != "gc":
        assert repo.gd("status", "--json").json == {}
    is_clean(repo)


def test_what_the_caller_ignores_is_ignored(repo, tmp_path):
    """nohup, and background jobs of scripts."""
    prepare_add(repo, tmp_path)
    p = start(repo, ["add", "d"], 5, preexec_fn=lambda: (signal.signal(signal.SIGHUP, signal.SIG_IGN),
                                                         signal.signal(signal.SIGINT, signal.SIG_IGN)))
    assert stands_still(p)
    for sig in (signal.SIGHUP, signal.SIGINT, signal.SIGCONT):
        os.kill(p.pid, sig)
    out, err = p.communicate(timeout=60)
    assert p.returncode == 0, err


def test_what_the_caller_ignores_is_ignored_by_the_commands_of_stages(repo):
    repo.write("dvc.yaml", "stages:\n  s:\n    cmd: grep SigIgn /proc/self/status > o\n    outs: [o]\n")
    p = subprocess.run([GIT_DATA, "repro"], cwd=repo.path, env=repo.env, capture_output=True, text=True,
                       preexec_fn=lambda: [signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGTERM)])
    assert p.returncode == 0, p.stderr
    for sig, want in ((signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGPIPE, 0)):
        assert int(repo.text("o").split()[1], 16) >> (sig - 1) & 1 == want, sig


@pytest.mark.parametrize("what", ["push", "pull", "fetch"])
def test_json_ends_with_a_result_whatever_ends_the_command(repo, tmp_path, what):
    """A remote that is none, a signal: a script that reads lines always gets the last one."""
    prepare_add(repo, tmp_path)
    repo.gd("add", "d")

    repo.gd("remote", "add", "-d", "r", str(tmp_path / "remote"))
    if what != "push":
        repo.gd("push")
        shutil.rmtree(repo.path / ".dvc/cache")
    p = repo.gd(what, "--json", "-r", "no-such", code=None)
    said = json.loads(p.out.splitlines()[-1])
    assert p.code != 0 and said["event"] == "result" and "no-such" in said["error"], repr(p)
    p = start(repo, [what, "--json"], 9)
    assert stands_still(p)
    os.kill(p.pid, signal.SIGTERM)
    os.kill(p.pid, signal.SIGCONT)
    out, err = p.communicate(timeout=60)
    said = json.loads(out.splitlines()[-1])
    assert p.returncode == -signal.SIGTERM and said["event"] == "result" and said["error"] == "terminated", (out, err)


def test_the_statuses_are_dvc_s(repo):
    """The reference dies of SIGTERM and ends with 252 after SIGINT, and so do we."""
    repo.write("dvc.yaml", "stages:\n  s:\n    cmd: touch began; exec sleep 30\n")
    for run in ([DVC], [GIT_DATA]):
        p = subprocess.Popen([*run, "repro"], cwd=repo.path, env=repo.env, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, start_new_session=True)
        for _ in range(3000):
            if repo.exists("began"):
                break
            time.sleep(0.01)
        os.kill(p.pid, signal.SIGTERM)
        assert p.wait(30) == -signal.SIGTERM
        try:
            os.killpg(p.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        repo.rm("began")
