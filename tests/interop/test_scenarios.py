"""Every scenario against what the reference tool did (see scenario.py)."""
import os

import pytest

import scenario
from harness import DVC, GIT_DATA

CASES = [(f, s) for f in scenario.FILES for s in scenario.load(f)]
GOLD = {f: scenario.expected(f) for f in scenario.FILES}


@pytest.mark.parametrize("path,sc", CASES, ids=[f"{f.stem}-{s.name}" for f, s in CASES])
def test_scenario(path, sc):
    assert GIT_DATA, "no git-data binary: run make, or set GIT_DATA"
    want = scenario.run(sc, DVC) if os.environ.get("DVC_LIVE") else GOLD[path][sc.name]
    diff = scenario.differences(sc, want, scenario.run(sc, GIT_DATA))
    assert not diff, "\n".join([sc.where, *diff])
