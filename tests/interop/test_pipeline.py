"""Pipelines: what one tool ran, the other calls up to date; equal bytes in dvc.lock; runs found by both."""
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

GIT_DATA = os.environ.get("GIT_DATA") or str(Path(__file__).resolve().parents[2] / "build/release/git-data")

OTHER = {"gd": "dvc", "dvc": "gd"}
BOTH = pytest.mark.parametrize("first", ["gd", "dvc"])
CLEAN = "Data and pipelines are up to date.\n"

PARAMS = """\
lr: 0.1
n: {a: 1, b: [x, y]}
lst: [1, {a: 5}, 3]
z: {b: 1, a: 2}
nu: null
s: "é ☃"
f: 1.0
e: {}
el: []
big: 12345678901234567890
neg: -0.0
inf: .inf
o: 0o17
yes_: yes
exp: 1e-5
til: ~
long: "%s"
""" % ("word " * 40)

FEATURES = {
    "plain": "  a:\n    cmd: cp in a\n    deps: [in]\n    outs: [a]\n",
    "list cmd": "  a:\n    cmd:\n    - cp in a\n    - echo é >> a\n    deps: [in]\n    outs: [a]\n",
    "multi-line cmd": "  a:\n    cmd: |\n      cp in a\n\n      echo 2 >> a\n    deps: [in]\n    outs: [a]\n",
    "directory": "  a:\n    cmd: mkdir -p d/e && cp in d/x && cp in d/e/y\n    deps: [in]\n    outs: [d/]\n",
    "exec bit": "  a:\n    cmd: cp in a && chmod +x a\n    deps: [in]\n    outs: [a]\n",
    "params": "  a:\n    cmd: cp in a\n    deps: [in]\n    params: [lr, n, lst.0, lst.1.a, z, nu, s, f, e, el, big, neg, inf, o,"
              " yes_, exp, til, long]\n    outs: [a]\n",
    "other params": "  a:\n    cmd: cp in a\n    deps: [in]\n    params:\n    - p.json: [a.b, a.c, x]\n    - p.toml: [sec]\n"
                    "    - p.py: [X, L, A.y, A.z]\n    outs: [a]\n",
    "whole files": "  a:\n    cmd: cp in a\n    params:\n    - p.toml:\n    - p.json:\n    outs: [a]\n",
    "templates": "  a:\n    cmd: echo ${lr} ${n.a} ${lst[-1]} \\${x} ${nu} ${z} > a\n    outs: [a]\n",
    "foreach list": "  a:\n    foreach: ${n.b}\n    do:\n      cmd: echo ${item} > o-${item}\n      outs: [\"o-${item}\"]\n",
    "foreach map": "  a:\n    foreach: ${z}\n    do:\n      cmd: echo ${key} ${item} > o-${key}\n      outs: [\"o-${key}\"]\n",
    "foreach mixed": "  a:\n    foreach: [a, 1, 2.5, true, {k: v}]\n    do:\n      cmd: echo ${item}; echo ${item} > o-${item}\n      wdir: .\n      deps: [in]\n",
    "matrix": "  a:\n    matrix:\n      m: [a, b]\n      n: [1, 2.5]\n      o: [{p: 1}, [5, 6]]\n    cmd: echo ${item.m} ${key} > o-${key}\n"
              "    outs: [\"o-${key}\"]\n",
    "metrics and plots": "  a:\n    cmd: cp m.json m2.json; cp m.json m3.json; echo 1 > p.csv\n    deps: [in]\n    metrics:\n"
                         "    - m2.json\n    - m3.json: {cache: false}\n    plots:\n    - p.csv: {x: a, y: b}\n",
    "flags": "  a:\n    cmd: cp in a; cp in b; cp in c\n    deps: [in]\n    outs:\n    - a: {cache: false}\n    - b: {persist: true}\n"
             "    - c: {desc: hi, type: t, labels: [l], meta: {x: 1}, push: false, remote: r}\n",
    "wdir": "  a:\n    wdir: w\n    cmd: cp ../in o\n    deps: [../in]\n    outs: [o]\n",
    "no dependency": "  a:\n    cmd: echo 1 > a\n    outs: [a]\n",
    "chain": "  a:\n    cmd: cp in a\n    deps: [in]\n    outs: [a]\n  b:\n    cmd: cp a b\n    deps: [a]\n    outs: [b]\n"
             "  c:\n    cmd: cat a b > c\n    deps: [b, a]\n    outs: [c]\n",
    "odd names": "  a:\n    cmd: cp in 'a b#c'; cp in é☃; cp in \"it's\"\n    deps: [in]\n    outs: [\"a b#c\", é☃, it's]\n",
    "long cmd": "  a:\n    cmd: cp in a && echo %s\n    deps: [in]\n    outs: [a]\n" % ("x" * 30 + " " + "yy zz " * 20),
    "vars": "  a:\n    vars: [{q: 7}, v.yaml:k1]\n    cmd: echo ${q} ${k1} > a\n    outs: [a]\n",
    "empty out": "  a:\n    cmd: touch a; mkdir -p d\n    deps: [in]\n    outs: [a, d]\n",
}


def fill(r, stages):
    r.write("params.yaml", PARAMS)
    r.write("in", "in\n")
    r.write("m.json", '{"m": 1}')
    r.write("p.json", '{"a": {"b": 1.5, "c": [1, 2]}, "x": "1e5"}')
    r.write("p.toml", '[sec]\nk = "v"\nn = 3\nd = 1.5e3\n[sec.sub]\nz = true\n')
    r.write("p.py", "X = 1\nL = [1, 2]\nclass A:\n    y = 2\n    def __init__(self):\n        self.z = 3\n")
    r.write("v.yaml", "k1: one\nk2: two\n")
    (r.path / "w").mkdir(exist_ok=True)
    r.write("dvc.yaml", "stages:\n" + stages)


@pytest.mark.parametrize("feature", FEATURES)
def test_equal_files_and_each_calls_the_others_run_up_to_date(twins, feature):
    for r, tool in ((twins.gd, "gd"), (twins.dvc, "dvc")):
        fill(r, FEATURES[feature])
        r.tool(tool, "repro")
    assert twins.gd.text("dvc.lock") == twins.dvc.text("dvc.lock")
    assert twins.gd.snapshot() == twins.dvc.snapshot()
    assert twins.gd.cache() == twins.dvc.cache()
    for r, other in ((twins.gd, "dvc"), (twins.dvc, "gd")):
        assert r.tool(other, "status").out == CLEAN
        assert r.tool(other, "repro").out.endswith(CLEAN)
        assert "Running" not in r.tool(other, "repro", "--dry").out


@BOTH
def test_the_run_cache_of_one_serves_the_other(make_repo, first):
    r = make_repo(init="dvc")
    fill(r, FEATURES["params"] + "  m:\n    cmd: cp in m2\n    deps: [in]\n    metrics: [{m2: {cache: false}}]\n")
    r.tool(first, "repro")
    lock = r.text("dvc.lock")
    for gone in ("a", "m2", "dvc.lock"):
        r.rm(gone)
    said = r.tool(OTHER[first], "repro").out
    assert "Stage 'a' is cached - skipping run, checking out outputs" in said
    assert "Running" not in said
    assert r.text("dvc.lock") == lock and r.exists("a") and r.exists("m2")


def test_the_vectors_of_the_run_cache(repo):
    repo.write("params.yaml", "lr: 0.1\nn: {a: 1, b: [x, y]}\n")
    repo.write("in.txt", "in\n")
    repo.write("dvc.yaml", """\
stages:
  a:
    cmd: mkdir -p od && cp in.txt od/x && echo "${lr}" > o.txt && echo '{"m":1}' > m.json
    deps: [in.txt]
    params: [lr, n]
    outs: [od, o.txt]
    metrics:
    - m.json: {cache: false}
  l:
    cmd:
    - cp o.txt p.txt
    - echo é >> p.txt
    deps: [o.txt]
    outs: [p.txt]
""")
    repo.gd("repro")
    runs = {str(p.relative_to(repo.path / ".dvc/cache/runs")) for p in (repo.path / ".dvc/cache/runs").rglob("*") if p.is_file()}
    assert runs == {
        "d4/d4a95e6fe6936405e814b8e3778a128f9c56d9382df0108aae3e4269ac546bf8/"
        "f7a4bf15650b416ee16183c203df308c0ca41eaef4c586470cbd70bc54c46c3c",
        "e7/e76ab909a5fed9016cffa3ebecacd0179db7ee5df66a5b3efa349299fc9a2ae2/"
        "0f7f54b66bca1993cf4c47164deb62d417622111baf42420dfc1a8532c0eb6f2"}


@pytest.mark.parametrize("options", [
    [], ["-f"], ["-s", "b"], ["-k"], ["--ignore-errors"], ["b"], ["--downstream", "a"], ["--force-downstream", "a"],
    ["-p", "a"], ["-P"], ["nope"], ["--glob", "[ab]"], ["--no-run-cache", "-f"], ["--no-commit"], ["--allow-missing"]],
    ids=lambda o: " ".join(o) or "none")
def test_options_print_and_exit_alike(twins, options):
    chain = FEATURES["chain"].replace("cat a b > c", "cat a b > c; false") + "  d:\n    cmd: cp c d\n    deps: [c]\n    outs: [d]\n"
    for r in (twins.gd, twins.dvc):
        fill(r, chain)
    for _ in range(2):
        a, b = twins.both("repro", *options)
        assert tidy(a.out) == tidy(b.out)
        assert a.err.replace(str(twins.gd.path), "") == b.err.replace(str(twins.dvc.path), "")
        for r in (twins.gd, twins.dvc):
            r.write("in", r.read("in") + b"more\n")


def test_dry_shows_the_whole_plan(repo):
    """DVC stops with an error at the first stage whose input only would exist."""
    fill(repo, FEATURES["chain"])
    out = repo.gd("repro", "--dry").out
    assert [x for x in out.splitlines() if x.startswith("> ")] == ["> cp in a", "> cp a b", "> cat a b > c"]
    assert not repo.exists("a") and not repo.exists("dvc.lock")


def tidy(out):
    """Without the reminder: its order of files is not fixed."""
    return re.sub(r"\nTo track the changes.*?autostage true\n", "", out, flags=re.S)


BROKEN = {
    "extra key": "stages:\n  a:\n    cmd: echo\n    foo: 1\n",
    "no cmd": "stages:\n  a:\n    foo: 1\n",
    "two faults": "stages:\n  a:\n    cmd: echo\n    deps: foo\n    outs:\n    - 1\n    - {a: 1}\n",
    "top level": "vars: 1\nparams: [1]\nmetrics: {a: b}\nfoo: 1\n",
    "bad foreach": "stages:\n  a:\n    foreach: 1\n    do: 2\n",
    "list": "[1, 2]\n",
    "template syntax": "stages:\n  a:\n    cmd: echo ${a[}\n",
    "template unknown": "stages:\n  a:\n    cmd: echo ${ x }\n",
    "template list": "vars:\n- l: [1, 2]\nstages:\n  a:\n    cmd: echo ${l}\n",
    "redefined": "vars:\n- l: 1\n- l: 2\nstages:\n  a:\n    cmd: echo ${l}\n",
    "missing vars": "vars:\n- nofile.yaml\n",
    "reserved": "stages:\n  a:\n    foreach: [1]\n    do:\n      vars: [{item: 3}]\n      cmd: echo\n",
    "cycle": "stages:\n  a:\n    cmd: echo\n    deps: [b]\n    outs: [a]\n  b:\n    cmd: echo\n    deps: [a]\n    outs: [b]\n",
    "same output": "stages:\n  a:\n    cmd: echo\n    outs: [o]\n  b:\n    cmd: echo\n    outs: [o]\n",
    "overlap": "stages:\n  a:\n    cmd: echo\n    outs: [o]\n  b:\n    cmd: echo\n    outs: [o/x]\n",
}


@pytest.mark.parametrize("case", BROKEN)
def test_complaints_are_the_same(twins, case):
    for r in (twins.gd, twins.dvc):
        r.write("dvc.yaml", BROKEN[case])
    a, b = twins.both("repro", code=255)
    assert a.out == b.out
    # DVC names the stages of these in no fixed order
    loose = case in ("cycle", "same output", "overlap")
    assert sorted(a.err) == sorted(b.err) if loose else a.err == b.err


@pytest.mark.parametrize("text", ["stages: {}\n", "schema: 2.0\nstages: {}\n", "", "schema: '2.0'\nstages:\n  a:\n    foo: 1\n",
                                  "schema: '2.0'\nstages:\n  a:\n    cmd: x\n    outs:\n    - path: a\n      md5: ab\n"])
def test_a_bad_lock_is_refused_alike(twins, text):
    for r in (twins.gd, twins.dvc):
        fill(r, FEATURES["plain"])
        r.write("dvc.lock", text)
    a, b = twins.both("repro", code=255)
    assert a.err.splitlines()[:1] == b.err.splitlines()[:1]


@BOTH
def test_comments_of_the_lock_and_unknown_stages_survive(make_repo, first):
    r = make_repo(init="dvc")
    fill(r, FEATURES["chain"])
    r.tool(first, "repro")
    text = r.text("dvc.lock").replace("  b:\n", "  gone:\n    cmd: echo gone\n  b: # mine\n")
    r.write("dvc.lock", text)
    r.write("in", "changed\n")
    r.tool(OTHER[first], "repro")
    after = r.text("dvc.lock")
    assert "  gone:\n    cmd: echo gone\n" in after and "# mine" in after


def test_edits_keep_the_text(twins):
    text = "# top\nstages:\n  a:   # c1\n    cmd: echo \"it's\"\n    deps: [a1, b1]\n    # inner\n    outs:\n    - o\n  b:\n    cmd: ls\n"
    for r in (twins.gd, twins.dvc):
        r.write("dvc.yaml", text)
    for args in (["freeze", "a"], ["unfreeze", "a"], ["freeze", "a", "b"],
                 ["stage", "add", "-n", "new", "-d", "x", "-o", "y z", "-p", "lr,n", "-p", "f.json:a", "-M", "m.json", "echo", "a b"],
                 ["stage", "add", "-f", "-n", "a", "-o", "q3", "ls"], ["stage", "add", "-n", "a", "ls"], ["freeze", "nope"]):
        a, b = twins.both(*args)
        assert tidy(a.out) == tidy(b.out) and a.err == b.err
        assert twins.gd.text("dvc.yaml") == twins.dvc.text("dvc.yaml")


def test_removing_the_last_stage_keeps_the_rest_of_the_file(repo):
    repo.write("dvc.yaml", "# hello\nparams:\n- p.yaml\nstages:\n  a:\n    cmd: ls\n")
    repo.gd("remove", "a")
    assert "params:\n- p.yaml\n" in repo.text("dvc.yaml") and "stages" not in repo.text("dvc.yaml")


def test_dates_in_params_are_values(repo):
    repo.write("params.yaml", "d: 2020-01-02\n")
    repo.write("dvc.yaml", "stages:\n  a:\n    cmd: echo ${d} > a\n    params: [d]\n    outs: [a]\n")
    repo.gd("repro")
    assert repo.text("a") == "2020-01-02\n"
    assert repo.gd("status").out == CLEAN


GRAPHS = {
    "one": [("a", [])],
    "chain": [("a", []), ("bb", ["a"]), ("ccc", ["bb"])],
    "diamond": [("prep", []), ("left", ["prep"]), ("right", ["prep"]), ("train", ["left", "right"])],
    "skip": [("a", []), ("b", ["a"]), ("c", ["b", "a"]), ("d", ["c", "a"])],
    "fan": [("in", [])] + [(f"s{i}", ["in"]) for i in range(4)],
    "parts": [("a", []), ("b", ["a"]), ("x", []), ("y", ["x"])],
}


@pytest.mark.parametrize("graph", GRAPHS)
def test_dag_draws_alike(twins, graph):
    text = "stages:\n" + "".join(
        f"  {n}:\n    cmd: echo\n" + (f"    deps: [{', '.join('o' + d for d in deps)}]\n" if deps else "") + f"    outs: [o{n}]\n"
        for n, deps in GRAPHS[graph])
    for r in (twins.gd, twins.dvc):
        r.write("dvc.yaml", text)
    for args in (["--dot"], ["--mermaid"], ["--md"], ["--full", GRAPHS[graph][0][0]], [GRAPHS[graph][-1][0], "--dot"]):
        a, b = twins.both("dag", *args, code=0)
        assert a.out == b.out
    a, b = twins.both("dag", code=0)
    if graph != "parts":        # several parts come in an order DVC does not fix
        assert a.out == b.out


def numbers(r):
    r.write("dvc.yaml", "stages:\n  a:\n    cmd: echo\n    params: [lr, n]\n    metrics: [{m.json: {cache: false}}]\nmetrics: [top.json]\n")
    r.write("m.json", '{"acc": 0.123456789, "n": {"f1": 36, "l": [1, 2]}, "s": "text", "t": true, "z": null}')
    r.write("top.json", '{"z": 5, "w": 1e-7, "x": 1.0}')
    r.write("params.yaml", "lr: 0.1\nn: {a: 1, b: [x, y]}\n")
    r.commit("one")
    r.write("m.json", '{"acc": 0.223456789, "n": {"f1": 43, "l": [1, 2, 3]}, "s": "text2", "t": false}')
    r.write("params.yaml", "lr: 0.25\nn: {a: 1, b: [x, z], c: 7}\n")


@pytest.mark.parametrize("args", [
    ["metrics", "show"], ["metrics", "show", "--md"], ["metrics", "show", "-a"], ["metrics", "show", "nope.json"],
    ["metrics", "show", "--precision", "2"], ["metrics", "diff", "--md"], ["metrics", "diff", "--no-path", "--targets", "m.json"],
    ["metrics", "diff", "HEAD", "HEAD"], ["metrics", "diff", "nope"], ["params", "diff"], ["params", "diff", "--all"],
    ["params", "diff", "--md", "--no-path"], ["params", "diff", "nope"]], ids=" ".join)
def test_values_print_alike(twins, args):
    for r in (twins.gd, twins.dvc):
        numbers(r)
    a, b = twins.both(*args)
    assert a.out == b.out and a.err == b.err


@pytest.mark.parametrize("args", [["metrics", "show"], ["metrics", "show", "-a"], ["metrics", "diff"], ["metrics", "diff", "--all"],
                                  ["params", "diff"]], ids=" ".join)
def test_values_as_json_are_equal(twins, args):
    for r in (twins.gd, twins.dvc):
        numbers(r)
    a, b = twins.both(*args, "--json", code=0)
    assert a.json == b.json


def test_jobs_run_at_once_and_each_output_stays_whole(repo):
    repo.write("dvc.yaml", "stages:\n  s:\n    foreach: [1, 2, 3, 4]\n    do:\n      cmd: echo begin ${item}; touch go-${item};"
               " while [ $(ls go-* | wc -l) -lt 4 ]; do sleep 0.02; done; echo end ${item}; echo ${item} > o${item}\n"
               "      outs: [\"o${item}\"]\n")
    out = repo.gd("repro", "-j", "4", timeout=60).out
    for i in range(1, 5):
        assert f"begin {i}\nend {i}\n" in out
    assert repo.dvc("status").out == CLEAN


def test_jobs_leave_the_lock_of_one_job(make_repo):
    """The last stages of the plan finish first."""
    r = {}
    for jobs in ("1", "5"):
        r[jobs] = make_repo("jobs" + jobs)
        r[jobs].write("dvc.yaml", "stages:\n" + "".join(
            f"  s{i}:\n    cmd: sleep 0.{9 - 2 * i}; echo {i} > o{i}\n    outs: [o{i}]\n" for i in range(5)))
        r[jobs].gd("repro", "-q", "-j", jobs)
    assert r["1"].text("dvc.lock") == r["5"].text("dvc.lock")
    assert r["1"].text(".gitignore") == r["5"].text(".gitignore")


def test_a_mutex_keeps_stages_apart(repo):
    repo.write("dvc.yaml", "stages:\n  s:\n    foreach: [1, 2, 3]\n    do:\n      cmd: mkdir lockdir && sleep 0.1 && rmdir lockdir"
               " && touch o${item}\n      outs: [\"o${item}\"]\n      meta: {git-data: {mutex: m}}\n")
    repo.gd("repro", "-j", "3")


def test_retries_timeout_and_script(repo):
    repo.write("dvc.yaml", """\
stages:
  r:
    cmd: echo x >> count; test $(wc -l < count) -ge 3 && touch r
    outs: [r]
    meta: {git-data: {retries: 3}}
  s:
    cmd: |
      X=5
      cd sub
      echo $X > ../s
    outs: [s]
    meta: {git-data: {script: true}}
""")
    (repo.path / "sub").mkdir()
    repo.gd("repro")
    assert repo.text("s") == "5\n" and repo.text("count") == "x\n" * 3
    repo.write("dvc.yaml", "stages:\n  t:\n    cmd: sleep 60\n    outs: [t]\n    meta: {git-data: {timeout: 0.2}}\n")
    assert "timed out" in repo.gd("repro", code=255, timeout=30).err


def test_explain_names_every_reason(repo):
    fill(repo, "  a:\n    cmd: cp in a\n    deps: [in]\n    params: [lr]\n    outs: [a]\n")
    assert "it has not run before" in repo.gd("repro", "--explain").out
    repo.write("in", "2")
    repo.write("params.yaml", PARAMS.replace("lr: 0.1", "lr: 0.2"))
    repo.rm("a")
    out = repo.gd("repro", "--explain").out
    assert "parameter 'lr' of 'params.yaml' is modified: 0.1 -> 0.2" in out
    assert "dependency 'in' is modified" in out and "output 'a' is deleted" in out


def test_an_output_that_is_nowhere_else_survives_a_failed_stage(repo):
    repo.write("dvc.yaml", "stages:\n  a:\n    cmd: exit 3\n    outs: [a]\n")
    repo.write("a", "precious")
    repo.gd("repro", code=255)
    assert repo.text("a") == "precious"


def test_a_failed_stage_keeps_what_others_finished(repo):
    fill(repo, "  a:\n    cmd: cp in a\n    deps: [in]\n    outs: [a]\n  b:\n    cmd: exit 1\n    deps: [a]\n    outs: [b]\n")
    repo.gd("repro", code=255)
    assert "/a\n" in repo.text(".gitignore") and "  a:\n" in repo.text("dvc.lock")
    assert "Stage 'a' didn't change, skipping" in repo.gd("repro", code=255).out


def test_repro_pull_tells_that_http_has_no_run_cache(make_repo):
    """The same words as DVC's, but without a secret; `fetch --run-cache` says nothing."""
    said = []
    for tool in ("dvc", "gd"):
        r = make_repo(tool)
        r.gd("remote", "add", "-q", "-d", "h", "http://127.0.0.1:9/some/base")
        r.write("dvc.yaml", "stages:\n  a:\n    cmd: echo 1 > o\n    outs:\n    - o:\n        cache: false\n")
        said.append(r.tool(tool, "repro", "--pull").err)
        assert "Failed" not in r.tool(tool, "repro", "--pull", "--no-run-cache").err
        assert "Failed" not in r.tool(tool, "fetch", "--run-cache").err
    want = "WARNING: Failed to pull run cache: run-cache is not supported for http filesystem: http://127.0.0.1:9/some/base\n"
    assert said == [want, want]
    r.gd("remote", "modify", "-q", "h", "url", "http://user:secret@127.0.0.1:9/some/base")
    err = r.gd("repro", "--pull").err
    assert "Failed to pull run cache" in err and "secret" not in err


@pytest.mark.parametrize("who", ["tool", "both"])
def test_killed_in_a_stage_the_next_run_resumes(repo, who):
    fill(repo, "  a:\n    cmd: echo ran >> a.log; cp in a\n    deps: [in]\n    outs: [a]\n"
               "  b:\n    cmd: touch started; test -e go || sleep 60; cp a b\n    deps: [a]\n    outs: [b]\n")
    p = subprocess.Popen([GIT_DATA, "repro"], cwd=repo.path, env=repo.env, stdout=subprocess.DEVNULL, start_new_session=True)
    while not repo.exists("started"):
        time.sleep(0.02)
    if who == "both":
        os.killpg(p.pid, signal.SIGKILL)
    else:
        p.kill()
    p.wait()
    repo.write("go", "")
    got = repo.gd("repro")
    out = got.out
    if who == "tool":
        assert "interrupted run still runs" in got.err
    assert "Stage 'a' didn't change, skipping" in out and "Running stage 'b'" in out
    assert repo.text("a.log") == "ran\n"
    assert repo.dvc("status").out == CLEAN


def test_status_answers_while_a_stage_runs(repo):
    fill(repo, "  a:\n    cmd: touch started; while ! test -e go; do sleep 0.02; done; cp in a\n    deps: [in]\n    outs: [a]\n")
    p = subprocess.Popen([GIT_DATA, "repro"], cwd=repo.path, env=repo.env, stdout=subprocess.DEVNULL)
    while not repo.exists("started"):
        time.sleep(0.02)
    assert "deleted" in repo.gd("status", timeout=20).out
    assert repo.gd("repro", code=255, timeout=60).err.count("busy") == 1
    repo.write("go", "")
    assert p.wait() == 0
    assert repo.gd("status").out == CLEAN


@pytest.mark.parametrize("mode", ["deferred", "batch", "object"])
def test_run_cache_entries_are_flushed_as_objects_are(repo, tmp_path, mode):
    """Counted by strace where it is; the entry is the same text in every mode."""
    repo.gd("config", "core.fsync", mode)
    repo.write("dvc.yaml", "stages:\n  s:\n    cmd: echo x >o\n    deps: [i]\n    outs: [o]\n")
    repo.write("i", "i")
    if shutil.which("strace"):
        repo.run(["strace", "-f", "-y", "-e", "trace=fsync,syncfs", "-o", str(tmp_path / "t"), GIT_DATA, "repro"])
        calls = (tmp_path / "t").read_text()
        assert (("/runs/" in calls) == (mode == "object")) and (("syncfs(" in calls) == (mode == "batch")), calls
    else:
        repo.gd("repro")
    runs = [p for p in (repo.path / ".dvc/cache/runs").rglob("*") if p.is_file()]
    assert len(runs) == 1 and "echo x" in runs[0].read_text()
    repo.rm("o")
    repo.rm("dvc.lock")
    assert "is cached - skipping run" in repo.dvc("repro").out
