"""Settings and locks beside the reference tool: what cannot be a recorded scenario."""
import fcntl
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

GIT_DATA = os.environ.get("GIT_DATA") or str(Path(__file__).resolve().parents[2] / "build/release/git-data")
DVC = os.environ.get("DVC") or shutil.which("dvc")

HAND_WRITTEN = """\
# our project
['remote "store"']      # the team's
\turl = s3://bucket/p   # eu

# which one
[core]
    remote = store
    # keep this off
    analytics = false
"""


def test_comments_and_order_survive_every_command(repo):
    repo.write(".dvc/config", HAND_WRITTEN)
    repo.gd("config", "core.autostage", "true")
    repo.gd("remote", "modify", "store", "profile", "team")
    repo.gd("remote", "add", "second", "../elsewhere")
    repo.gd("config", "-u", "core.analytics")
    text = repo.text(".dvc/config")
    for line in ("# our project", "# the team's", "# eu", "# which one", "# keep this off"):
        assert line in text
    assert text.index("store") < text.index("[core]")
    assert repo.gd("remote", "list").out.splitlines()[0].startswith("store")


def test_the_reference_reads_what_we_wrote(repo):
    values = ["a,b", "a#b", " x ", "it's", 'say "x"', "50%", "a=b", "[x]", "", "'q'"]
    repo.gd("remote", "add", "r", "s3://b/k")
    for v in values:
        repo.gd("remote", "modify", "r", "profile", v)
        assert repo.dvc("config", "remote.r.profile").out == v + "\n"
        repo.dvc("remote", "modify", "r", "profile", v)
        assert repo.gd("config", "remote.r.profile").out == v + "\n"


def test_a_secret_for_the_committed_file_is_warned_of_and_written(repo):
    repo.gd("remote", "add", "r", "s3://b/k")
    said = repo.gd("remote", "modify", "r", "secret_access_key", "hunter2")
    assert "WARNING" in said.err and "--local" in said.err and "hunter2" not in said.err
    assert "hunter2" in repo.text(".dvc/config")
    quiet = repo.gd("remote", "modify", "--local", "r", "password", "hunter2", code=None)
    assert "hunter2" not in quiet.err + quiet.out


def test_a_broken_line_does_not_show_its_secret(repo):
    repo.write(".dvc/config", "[core]\npassword: hunter2\n")
    said = repo.gd("status", code=251)
    assert "hunter2" not in said.err + said.out and "line 2" in said.err


def test_own_settings_do_not_disturb_the_reference(repo):
    repo.gd("config", "core.fsync", "batch")
    assert repo.gd("config", "core.fsync").out == "batch\n"
    assert repo.exists(".dvc/git-data.conf")
    assert repo.gd("config", "core.fsync", "sometimes", code=251).err.startswith("ERROR")
    assert repo.dvc("status").code == 0
    repo.gd("config", "-u", "core.fsync")
    assert repo.gd("config", "core.fsync").out == ""


def wait_until(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_a_held_lock_is_waited_for_and_its_holder_named(repo):
    repo.write("a", "1")
    tmp = repo.path / ".dvc/tmp"
    tmp.mkdir(exist_ok=True)
    with open(tmp / "lock", "a+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.seek(0)
        f.truncate()
        f.write(f" {os.getpid()}\n")
        f.flush()
        p = subprocess.Popen([GIT_DATA, "add", "a"], cwd=repo.path, env=repo.env, stderr=subprocess.PIPE, text=True)
        said = p.stderr.readline()
        assert f"process {os.getpid()}" in said
        assert p.poll() is None and not repo.exists("a.dvc")
    assert p.wait(30) == 0 and repo.exists("a.dvc")


@pytest.mark.parametrize("mode", ["false", "true"])
def test_both_tools_at_once_lose_nothing(repo, mode):
    assert DVC
    repo.dvc("config", "core.hardlink_lock", mode)
    names = [f"f{i}" for i in range(8)]
    for n in names:
        repo.write(n, n)
    tools = [[GIT_DATA], [DVC, "--wait-for-lock"]]
    ps = [subprocess.Popen([*tools[i % 2], "add", "-q", n], cwd=repo.path, env=repo.env, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True) for i, n in enumerate(names)]
    for p in ps:
        err = p.communicate(timeout=120)[1]
        assert p.returncode == 0, err
    assert sorted(repo.text(".gitignore").split()) == sorted("/" + n for n in names)
    assert repo.dvc("status", "--json").json == {} and repo.gd("status", "--json").json == {}


def stage(repo, seconds):
    repo.write("dvc.yaml", f"stages:\n  s:\n    cmd: sleep {seconds}; echo x > out\n    outs: [out]\n")


def rwlock(repo):
    try:
        return json.loads(repo.text(".dvc/tmp/rwlock") or "{}")
    except (OSError, ValueError):
        return {}


def test_a_running_stage_blocks_its_paths_for_the_reference(repo):
    assert DVC
    stage(repo, 8)
    p = subprocess.Popen([GIT_DATA, "repro"], cwd=repo.path, env=repo.env, stdout=subprocess.DEVNULL)
    wait_until(lambda: rwlock(repo).get("write"))
    said = repo.dvc("status", code=1).err
    assert "is busy" in said and f"(PID {p.pid})" in said
    assert repo.gd("status", code=0).out                     # ours answers at once
    assert p.wait(60) == 0
    assert rwlock(repo) in ({}, {"read": {}})
    assert repo.dvc("status", "--json").json == {}


def test_a_dead_holder_is_removed_by_either_tool(repo):
    assert DVC
    dead = subprocess.Popen(["true"])
    dead.wait()
    stage(repo, 0)
    for tool in ("gd", "dvc"):
        (repo.path / ".dvc/tmp").mkdir(exist_ok=True)
        repo.write(".dvc/tmp/rwlock", json.dumps({"write": {str(repo.path / "out"): {"pid": dead.pid, "cmd": "dvc repro"}}}))
        assert "had been killed" in repo.tool(tool, "repro", "-f").err
        assert not rwlock(repo).get("write")


def test_private_files_stay_out_of_git_in_an_old_clone(repo):
    repo.git("rm", "-q", "--cached", ".dvc/.gitignore")
    repo.rm(".dvc/.gitignore")
    if (repo.path / ".dvc/tmp").exists():
        os.rename(repo.path / ".dvc/tmp", repo.path.parent / "old-tmp")
    repo.write("a", "1")
    repo.gd("add", "a")
    assert set(repo.text(".dvc/.gitignore").split()) >= {"/config.local", "/tmp", "/cache"}
