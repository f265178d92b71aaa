"""SIGKILL of `repro`, of its commands, of both: the next run resumes, finished stages do not run again, nothing is lost.

Every stage appends its name to a file that nothing tracks, so its runs can be counted. The fault points are those of
test_kill.py; here they lie between the start of a command and the line of dvc.lock that records it.
"""
import collections
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness import GIT_DATA
from test_kill import Template, content

UP_TO_DATE = "Data and pipelines are up to date.\n"
PRECIOUS = {"model": b"a model trained by hand, in no cache\n", "tab/old": b"a table nobody saved\n"}
STAGES = """stages:
  tab:
    cmd: echo tab >> runs; mkdir tab; cp in tab/one; echo two > tab/two
    deps: [in]
    outs: [tab]
  model:
    cmd: echo model >> runs; cat tab/one tab/two > model; echo '{"n":1}' > m.json
    deps: [tab]
    params: [lr]
    outs: [model]
    metrics:
    - m.json:
        cache: false
  keep:
    cmd: echo keep >> runs; cp in kept
    deps: [in]
    outs:
    - kept:
        persist: true
  each:
    foreach: [x, y]
    do:
      cmd: echo each@${item} >> runs; echo ${item} > each.${item}
      deps: [model]
      outs: ["each.${item}"]
"""


def runs(repo):
    return collections.Counter(repo.text("runs").split()) if repo.exists("runs") else collections.Counter()


def recorded(repo):
    """The stages that dvc.lock names."""
    if not repo.exists("dvc.lock"):
        return set()
    return {line.strip().rstrip(":") for line in repo.text("dvc.lock").splitlines() if line.startswith("  ") and line[2] != " "}


def work(repo):
    return {n: d for n, d in repo.snapshot().items() if n not in ("runs", "started", "go")}


def sound(repo):
    for name, (mode, data) in repo.cache().items():
        if name.startswith("files/md5/"):
            assert hashlib.md5(data).hexdigest() == (name[10:12] + name[13:]).removesuffix(".dir"), name


def settled(repo):
    """Nothing is left lying about but what is kept for the user, and both status and repro have nothing to do."""
    junk = [str(p) for p in repo.path.rglob("*") if p.name.endswith(".tmp") and ".git/" not in str(p)]
    assert not junk, junk
    aside = repo.path / ".dvc/tmp/aside"
    assert not aside.exists() or all(n.startswith("kept-") for n in os.listdir(aside)), os.listdir(aside)
    rw = repo.path / ".dvc/tmp/rwlock"
    held = json.loads(rw.read_text()) if rw.exists() else {}
    pids = {x["pid"] for v in held.get("read", {}).values() for x in v} | {x["pid"] for x in held.get("write", {}).values()}
    assert not [p for p in pids if os.path.exists(f"/proc/{p}")], held
    sound(repo)
    before = runs(repo)
    assert repo.gd("status").out == UP_TO_DATE
    assert UP_TO_DATE in repo.gd("repro").out and runs(repo) == before


def resumes(repo, jobs, goal, killed_at):
    """The next run: stages that dvc.lock names do not run, the others once at most, and the end is that of no kill."""
    done, before = recorded(repo), runs(repo)
    again = repo.gd("repro", "-j", jobs, code=None, timeout=60)
    assert again.code == 0, f"{killed_at}: {again!r}"
    more = runs(repo) - before
    assert not set(more) & done, f"{killed_at}: finished stages ran again: {more}, {done}"
    assert sum(n - 1 for n in more.values()) <= int(jobs), f"{killed_at}: {more}"       # an orphan's line may come late
    got = work(repo)
    if jobs != "1" and killed_at:       # of several runs: each put its new entries in order behind those that were there
        got, goal = ({**w, "dvc.lock": sorted(w["dvc.lock"].splitlines()), ".gitignore": sorted(w[".gitignore"].splitlines())}
                     for w in (got, goal))
    assert got == goal, killed_at
    settled(repo)


@pytest.fixture
def base(make_repo, tmp_path):
    r = make_repo("base")
    r.write("in", "in\n")
    r.write("params.yaml", "lr: 0.1\n")
    r.write("dvc.yaml", STAGES)
    for name, data in PRECIOUS.items():
        r.write(name, data)
    return Template(r, tmp_path)


def unharmed(base, prepare=None, oracle=False):
    r = base.fresh()
    if prepare:
        prepare(r)
    r.gd("repro")
    settled(r)
    if oracle:
        assert r.dvc("status").out == UP_TO_DATE
    goal = work(r)
    base.done(r)
    return goal


def walk(base, jobs, step, prepare=None, owners=None):
    """Kills at each step-th fault point. owners: precious bytes -> the stage that may remove them once it is recorded."""
    goal = unharmed(base, prepare, oracle=True)
    points = 0
    for n in range(1, 2000, step):
        r = base.fresh()
        if prepare:
            prepare(r)
        had = recorded(r)
        before = r.text("dvc.lock") if had else ""
        got = r.gd("repro", "-j", jobs, code=None, env={"GIT_DATA_FAULT": f"any:{n}"})
        if got.code == 0:
            base.done(r)
            break
        assert got.code == -signal.SIGKILL, repr(got)
        points += 1
        done = recorded(r) if not had or r.text("dvc.lock") != before else set()
        there = content(r.path)
        for data, stage in (owners or {}).items():
            assert data in there or stage in done, f"point {n}: {data} is gone, {stage} is not finished"
        if prepare is None:
            resumes(r, jobs, goal, f"point {n}")
        else:
            assert r.gd("repro", "-j", jobs).code == 0
            assert set(runs(r).values()) <= {1, 2}
            settled(r)
        base.done(r)
    assert points > 10, f"{points} points only: the hooks are gone"
    print(points, "kill points")


OWNERS = {PRECIOUS["model"]: "model", PRECIOUS["tab/old"]: "tab"}


@pytest.mark.parametrize("jobs, step", [("1", 2), ("4", 3)])
def test_killed_at_every_point_of_a_first_run(base, jobs, step):
    walk(base, jobs, step, owners=OWNERS)


def test_killed_at_every_point_of_a_run_after_changes(base):
    """The outputs of before are in the cache; one was overwritten by hand and is nowhere else."""
    base.repo.gd("repro", "-q")
    base.repo.rm("runs")
    mine = b"edited by hand\n"

    def change(r):
        r.write("in", "other\n")
        r.write("params.yaml", "lr: 0.2\n")
        r.rm("each.x")
        r.write("each.x", mine)
    walk(base, "1", 2, prepare=change, owners=None)


def test_killed_at_every_point_of_a_restore_from_the_run_cache(base):
    base.repo.gd("repro", "-q")
    old = {n: base.repo.read(n) for n in ("in", "params.yaml")}
    base.repo.write("in", "other\n")
    base.repo.write("params.yaml", "lr: 0.2\n")
    base.repo.gd("repro", "-q")
    base.repo.rm("runs")

    def back(r):
        for n, data in old.items():
            r.write(n, data)
        (r.path / "kept").unlink()
    walk(base, "1", 2, prepare=back)


def test_an_edited_output_survives_every_kill_until_its_stage_has_finished(base):
    r0 = base.repo
    r0.gd("repro", "-q")
    mine = b"edited by hand\n"
    for n in range(1, 400):
        r = base.fresh()
        r.rm("each.x")
        r.write("each.x", mine)
        got = r.gd("repro", "-s", "-f", "each@x", code=None, env={"GIT_DATA_FAULT": f"any:{n}"})
        if got.code == 0:
            break
        there = mine in content(r.path)
        count = runs(r)["each@x"]
        assert there or count == 2, f"point {n}: an output that is in no cache was removed before the command ran"
        if not there:
            assert r.text("each.x") == "x\n"
            assert r.gd("status").out == UP_TO_DATE, f"point {n}: removed before the stage was recorded"
        r.gd("repro")
        settled(r)
        base.done(r)
    else:
        pytest.fail("never survives")


def children(pid):
    try:
        return [int(x) for t in Path(f"/proc/{pid}/task").iterdir() for x in (t / "children").read_text().split()]
    except OSError:
        return []


def kill(p, who):
    victims = children(p.pid) if who != "tool" else []
    if who != "child":
        victims.append(p.pid)
    for v in victims:
        try:
            os.kill(v, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return bool(victims)


SLOW = STAGES.replace(" >> runs;", " >> runs; sleep 0.05;")


@pytest.mark.parametrize("jobs", ["1", "4"])
@pytest.mark.parametrize("who", ["tool", "child", "both"])
def test_killed_at_random_moments(base, who, jobs):
    base.repo.write("dvc.yaml", SLOW)
    goal = unharmed(base)
    rng = random.Random(f"{who}{jobs}")
    for i in range(5):
        r = base.fresh()
        p = subprocess.Popen([GIT_DATA, "repro", "-j", jobs], cwd=r.path, env=r.env, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        time.sleep(rng.random() * 0.3)
        while who == "child" and p.poll() is None and not children(p.pid):
            time.sleep(0.002)
        kill(p, who)
        assert p.wait() in ({-9} if who != "child" else {0, 255}) | {0}
        there, done = content(r.path), recorded(r)
        for data, stage in OWNERS.items():
            assert data in there or stage in done, (i, data)
        resumes(r, jobs, goal, f"{who} {i}")
        base.done(r)


def test_killed_again_and_again_until_it_is_done(base):
    """Each run is killed soon after it began; together they finish, and no stage that is recorded runs again."""
    base.repo.write("dvc.yaml", SLOW)
    goal = unharmed(base)
    r = base.fresh()
    rng = random.Random(5)
    for i in range(60):
        done, before = recorded(r), runs(r)
        p = subprocess.Popen([GIT_DATA, "repro", "-j", "2"], cwd=r.path, env=r.env, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        try:
            p.wait(timeout=0.06 + rng.random() * 0.15)
            break
        except subprocess.TimeoutExpired:
            kill(p, "tool")
            p.wait()
        assert not set(runs(r) - before) & done
    resumes(r, "2", goal, "the last")


NAMESPACE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
PLACES = {"host": []}
if not subprocess.run([*NAMESPACE, "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
    PLACES["container"] = NAMESPACE         # the session's leader is outside, as under `docker exec`

OUTLIVE = r"""
"$0" repro -j "$1" > /dev/null & run=$!
until test -e started; do sleep 0.01; done
kill -KILL $run; wait $run
sed 's/echo late/true/' dvc.yaml > new; mv new dvc.yaml
touch go
exec "$0" repro
"""


def outlive(repo, place, jobs):
    """A run is killed while its command waits for the file go; the next run's stderr."""
    p = subprocess.run([*PLACES[place], "bash", "-c", OUTLIVE, GIT_DATA, jobs], cwd=repo.path, env=repo.env, capture_output=True, text=True,
                       timeout=60)
    assert p.returncode == 0, p
    return p.stderr


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("jobs", ["1", "4"])
def test_a_command_that_outlives_the_killed_tool_is_ended(repo, jobs, place):
    """It would write into the outputs of the run that follows."""
    repo.write("dvc.yaml", "stages:\n  s:\n    cmd: touch started; (while ! test -e go; do sleep 0.01; done; sleep 0.6;"
                           " echo late > out); echo s > out\n    outs: [out]\n")
    assert "interrupted run still runs" in outlive(repo, place, jobs)
    time.sleep(0.8)
    assert repo.text("out") == "s\n"
    settled(repo)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("daemon", ["setsid", "setsid -f"])
def test_a_daemon_of_a_killed_run_is_left_alone(repo, daemon, place):
    """It left the session: a server the user's command started and means to keep."""
    repo.write("dvc.yaml", f"stages:\n  s:\n    cmd: {daemon} sh -c 'touch started; until test -e go; do sleep 0.01; done; sleep 0.5;"
                           " touch served' & echo s > out; until test -e go; do sleep 0.01; done\n    outs: [out]\n")
    outlive(repo, place, "1")
    for _ in range(0 if place == "container" else 500):         # a container's processes end with its first one
        if repo.exists("served"):
            break
        time.sleep(0.01)
    assert repo.exists("served") or place == "container"


def test_two_at_once(base):
    base.repo.write("dvc.yaml", SLOW)
    goal = unharmed(base)
    rng = random.Random(3)
    for i, jobs in enumerate(["1", "4", "1", "4"]):
        r = base.fresh()
        ps = []
        for _ in range(2):
            ps.append(subprocess.Popen([GIT_DATA, "repro", "-k", "-j", jobs], cwd=r.path, env=r.env, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
            time.sleep(rng.random() * 0.2)
        for p in ps:
            err = p.communicate(timeout=60)[1]
            assert p.returncode == 0 or (p.returncode == 255 and "busy" in err), err
        assert sum(runs(r).values()) <= 10 and max(runs(r).values()) <= 2
        there, done = content(r.path), recorded(r)
        for data, stage in OWNERS.items():
            assert data in there or stage in done, (i, data)
        resumes(r, jobs if jobs != "1" else "2", goal, f"round {i}")
        base.done(r)


def test_status_answers_at_once_while_commands_run(base):
    r = base.repo
    r.write("dvc.yaml", STAGES.replace("echo model >> runs;", "touch started; until test -e go; do sleep 0.01; done; echo model >> runs;"))
    for jobs in ("1", "4"):
        p = subprocess.Popen([GIT_DATA, "repro", "-j", jobs], cwd=r.path, env=r.env, stdout=subprocess.DEVNULL)
        while not r.exists("started"):
            time.sleep(0.01)
        for argv in (["status", "--json"], ["data", "status", "--json"], ["dag"], ["stage", "list"], ["metrics", "show"], ["diff"]):
            began = time.monotonic()
            r.gd(*argv, timeout=20)
            assert time.monotonic() - began < 10, f"{argv} waited for the stage"
        assert p.poll() is None
        r.write("go", "")
        assert p.wait(timeout=60) == 0
        settled(r)
        for name in ("go", "started", "model"):
            r.rm(name)
        shutil.rmtree(r.path / ".dvc/cache")
        r.rm("dvc.lock")
