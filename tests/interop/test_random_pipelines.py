"""A few random pipelines beside the reference tool (random_pipelines.py): seeds on which both agreed when they were chosen."""
import pytest

import plgen
from harness import DVC, GIT_DATA
from random_pipelines import PRELUDE, Bench

SEEDS = {"add": (3, 7), "broken": (2, 3, 5), "dag": (2, 3), "metrics": (4, 5), "remote": (5,), "repro": (1, 3),
         "template": (1, 2, 5)}
STEPS = 8


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    assert GIT_DATA and DVC, "GIT_DATA and DVC name the tools"
    b = Bench(DVC, GIT_DATA, tmp_path_factory.mktemp("random"))
    yield b
    b.server.stop()


@pytest.mark.parametrize("topic", SEEDS)
def test_agrees(bench, topic):
    for seed in SEEDS[topic]:
        steps = plgen.generate(seed, STEPS, topic)
        for found in bench.all(PRELUDE, steps):
            shown = "\n".join(s.render() for s in steps[:found[0] + 1])
            raise AssertionError(f"seed {seed} of {topic}: {bench.key(steps, found)}\n{shown}\n{found[2]}")
