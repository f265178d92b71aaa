"""Limits of the process (setrlimit): the work is done with less, or an error says which file and why; nothing partial stays."""
import resource
import signal
import subprocess

import pytest

from harness import GIT_DATA


def limited(repo, what, n, *argv):
    return subprocess.run([GIT_DATA, *argv], cwd=repo.path, env=repo.env, capture_output=True, text=True, timeout=120,
                          preexec_fn=lambda: resource.setrlimit(what, (n, n)))


@pytest.fixture
def many(repo):
    for i in range(700):
        repo.write(f"d/{i}", f"{i}\n" * 20)
    repo.gd("remote", "add", "-q", "-d", "r", "store")
    repo.gd("add", "-q", "d")
    return repo


@pytest.mark.parametrize("files, jobs", [(256, 32), (64, 4), (24, 2)])
def test_few_descriptors(many, files, jobs):
    """A directory's threads do not hold more files than the process may open."""
    for argv, gone in ((["push", "-j", str(jobs)], [".dvc/cache"]), (["pull", "-j", str(jobs)], []), (["push", "-j", str(jobs)], [])):
        said = limited(many, resource.RLIMIT_NOFILE, files, *argv)
        assert said.returncode == 0, said.stderr[-2000:]
        for name in gone:
            many.rm(name)
    assert many.gd("status", "-c", "--json").json == {}
    assert len(many.cache()) == 701


@pytest.mark.parametrize("argv", [["add", "big"], ["push"], ["pull"], ["checkout"]])
def test_a_limit_of_file_sizes_is_an_error_not_a_signal(repo, argv):
    repo.write("big", b"0123456789" * 30000)
    repo.gd("remote", "add", "-q", "-d", "r", "store")
    if argv != ["add", "big"]:
        repo.gd("add", "-q", "big")
    if argv == ["pull"]:
        repo.gd("push", "-q")
        repo.rm(".dvc/cache")
    if argv[0] in ("pull", "checkout"):
        repo.rm("big")
    said = limited(repo, resource.RLIMIT_FSIZE, 100000, *argv)
    assert said.returncode in (1, 255) and "File too large" in said.stderr and "big/" not in said.stderr, said
    assert not [p for p in repo.path.rglob("*.tmp")]
    repo.gd(*argv)
    assert repo.gd("status", "--json").json == {}


def test_commands_of_stages_have_the_signal(repo):
    """What is ignored here is not ignored by those that we start."""
    repo.write("dvc.yaml", "stages:\n  s:\n    cmd: grep SigIgn /proc/self/status > out\n    outs: [out]\n")
    repo.gd("repro", "-q")
    ignored = int(repo.text("out").split()[1], 16)
    assert not [s for s in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM) if ignored >> (s - 1) & 1]


def test_a_drawing_that_would_be_too_large_is_refused(repo):
    """A chain whose stages all read one tracked file: an edge passes a layer for each pair of them."""
    repo.write("in", "1")
    repo.gd("add", "-q", "in")
    repo.write("dvc.yaml", "stages:\n" + "".join(
        f"  s{i}: {{cmd: x, deps: [in{f', o{i - 1}' if i else ''}], outs: [o{i}]}}\n" for i in range(3000)))
    said = limited(repo, resource.RLIMIT_AS, 1 << 30, "dag")
    assert said.returncode == 255 and "too large to draw" in said.stderr
    assert limited(repo, resource.RLIMIT_AS, 1 << 30, "dag", "--dot").returncode == 0


def test_a_matrix_of_large_values_costs_their_sum(repo):
    repo.write("params.yaml", "big:\n" + "".join(f"  key{i}: {i}\n" for i in range(20000)))
    repo.write("dvc.yaml", "stages:\n  m:\n    matrix:\n      a: ['${big}']\n      b: " + str(list(range(900))) + "\n    cmd: echo ${item.b}\n")
    assert limited(repo, resource.RLIMIT_AS, 1 << 30, "stage", "list", "--name-only").returncode == 0
