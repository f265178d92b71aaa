"""docs/tutorial.md as it stands: its `sh` blocks run in one shell, its `text` blocks are what they print."""
import hashlib
import os
import re
import shutil
import subprocess

import pytest

from harness import GIT_DATA, ROOT

PAGE = ROOT / "docs/tutorial.md"


def blocks():
    """[(commands, expected text or "")]: a text block belongs to the commands before it."""
    out = []
    for kind, body in re.findall(r"^```(sh|text)\n(.*?)^```$", PAGE.read_text(), re.M | re.S):
        if kind == "sh":
            out.append([body, ""])
        else:
            assert out and not out[-1][1], "a text block without commands"
            out[-1][1] = body
    return out


def python_with_sklearn():
    """The system's Python: scikit-learn comes as a Debian package, not into the virtual environment of the tests."""
    dirs = [*os.environ["PATH"].split(":"), "/usr/bin"]
    for d in dirs:
        p = shutil.which("python3", path=d)
        if p and subprocess.run([p, "-c", "import sklearn"], capture_output=True).returncode == 0:
            return p
    pytest.skip("no python3 with sklearn: apt-get install python3-sklearn")


def as_pattern(line):
    return ".*".join(re.escape(x.strip()) for x in line.split("..."))


def missing(expected, printed):
    """The first expected line that does not follow the ones before it, or None."""
    lines, at = [x.strip() for x in printed.splitlines()], 0
    for want in expected.splitlines():
        if want.strip() in ("...", ""):
            continue
        pat = re.compile(as_pattern(want))
        while at < len(lines) and not pat.fullmatch(re.sub(r"\s+", " ", lines[at])) and not pat.fullmatch(lines[at]):
            at += 1
        if at == len(lines):
            return want
        at += 1
    return None


@pytest.fixture
def shell(env, tmp_path):
    bin_, work = tmp_path / "bin", tmp_path / "work"
    bin_.mkdir()
    work.mkdir()
    (bin_ / "git-data").symlink_to(GIT_DATA)
    (bin_ / "python3").write_text(f'#!/bin/sh\nexec {python_with_sklearn()} "$@"\n')
    (bin_ / "python3").chmod(0o755)
    env.update(PATH=f"{bin_}:{env['PATH']}", SHELL="/bin/sh", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    env.pop("PYTHONPATH", None)

    def run(parts):
        """Runs the parts in one shell; gives what each printed."""
        mark = "=-=-= part"
        script = "set -eu\n" + "".join(f"printf '{mark}\\n'\n{x}\n" for x in parts)
        p = subprocess.run(["bash", "-c", script], cwd=work, env=env, text=True, timeout=600,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        out = p.stdout.split(mark + "\n")[1:]
        assert p.returncode == 0, f"part {len(out)} ends with {p.returncode}:\n{parts[len(out) - 1]}\n---\n{out[-1]}"
        return out
    run.work = work
    return run


def test_every_command_of_the_tutorial(shell):
    all_ = blocks()
    assert len(all_) >= 8
    printed = shell([x for x, _ in all_])
    for (commands, expected), got in zip(all_, printed):
        lost = missing(expected, got)
        assert lost is None, f"expected {lost!r} after\n{commands}\n--- printed\n{got}"
    check_outcome(shell.work, dict(zip([x for x, _ in all_], printed)))


def check_outcome(work, printed):
    """What the page claims, beyond what is printed."""
    project, clone, store = work / "project", work / "clone", work / "store"
    # The store: whole objects under their names, runs of both values of the parameter.
    objects = [p for p in (store / "files/md5").rglob("*") if p.is_file()]
    assert len(objects) >= 8
    for p in objects:
        assert hashlib.md5(p.read_bytes()).hexdigest() == p.parent.name + p.name[:30]
    # prepare and featurize ran once, train and evaluate twice
    assert len([p for p in (store / "runs").rglob("*") if p.is_file()]) == 6
    # first all four stages, two after the change, none on the way back and in the clone; then the one that git's metric needs
    ran = [re.findall(r"^Running stage '(\w+)'", v, re.M) for k, v in printed.items() if "git data repro" in k]
    assert ran == [["prepare", "featurize", "train", "evaluate"], ["train", "evaluate"], [], [], ["evaluate"]]
    # both clones agree, and gc left everything that commits name
    for name in ("model.pkl", "metrics.json", "dvc.lock", "data/raw.csv"):
        assert (project / name).read_bytes() == (clone / name).read_bytes(), name
    for p in objects:
        assert (clone / ".dvc/cache/files/md5" / p.parent.name / p.name).exists()
