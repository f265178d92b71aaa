"""A few fixed seeds of random_ops.py, so that its machinery and the commonest paths stay true."""
import pytest

import opgen
import random_ops
from harness import DVC, GIT_DATA

SEEDS = [*range(1, 10), 11]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    assert GIT_DATA and DVC, "a tool is missing: run make, or set GIT_DATA and DVC"
    b = random_ops.Bench(DVC, GIT_DATA, tmp_path_factory.mktemp("random"))
    yield b
    b.server.stop()


@pytest.mark.parametrize("seed", SEEDS)
def test_seed(bench, seed):
    prelude, steps = opgen.generate(seed, 8)
    found = bench.run(prelude, steps)
    lines = [s.render() for s in [*prelude, *steps]]
    assert not found, "\n".join([random_ops.Bench.key(steps, found), *lines[:len(prelude) + found[0] + 1], found[2]])
