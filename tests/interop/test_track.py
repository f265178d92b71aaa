"""add, commit, remove, move, unprotect: each tool in turn on one repository, and both side by side."""
import itertools
import os

import pytest

TURNS = [("gd", "dvc"), ("dvc", "gd")]


def names(turn):
    return f"{turn[0]}-then-{turn[1]}"


@pytest.fixture
def shared(make_repo):
    return make_repo(init="dvc")


def clean(repo, tool, *args):
    assert repo.tool(tool, "status", *args).out.strip() == "Data and pipelines are up to date."


def both_clean(repo):
    clean(repo, "gd")
    clean(repo, "dvc")


@pytest.mark.parametrize("turn", TURNS, ids=names)
def test_what_one_adds_the_other_finds_unchanged(shared, turn):
    shared.write("f", "hello\n")
    shared.write("d/a", "a")
    shared.write("d/s/b", "b\r\n")
    shared.write("run.sh", "x", mode=0o755)
    shared.tool(turn[0], "add", "f", "d", "run.sh")
    before, cache = shared.snapshot(), shared.cache()
    both_clean(shared)
    shared.tool(turn[1], "add", "f", "d", "run.sh")
    assert shared.snapshot() == before
    assert shared.cache() == cache
    both_clean(shared)


@pytest.mark.parametrize("turn", TURNS, ids=names)
def test_each_sees_and_adds_the_others_changes(shared, turn):
    shared.write("d/a", "a")
    shared.write("d/b", "b")
    for n, tool in enumerate(itertools.islice(itertools.cycle(turn), 6)):
        shared.write("d/a", f"a{n}")
        shared.write(f"d/new{n}", "same")
        shared.tool(tool, "add", "d")
        both_clean(shared)
    assert b"nfiles: 8" in shared.read("d.dvc")


@pytest.mark.parametrize("turn", TURNS, ids=names)
def test_a_part_of_the_others_directory(shared, turn):
    shared.write("d/a", "a")
    shared.write("d/s/b", "b")
    shared.tool(turn[0], "add", "-q", "d")
    shared.write("d/s/c", "c")
    shared.tool(turn[1], "add", "-q", "d/s/c")
    both_clean(shared)
    shared.rm("d/a")
    shared.tool(turn[0], "add", "-q", "d/a")
    both_clean(shared)


@pytest.mark.parametrize("turn", TURNS, ids=names)
def test_commit_after_the_others_add(shared, turn):
    shared.write("d/a", "a")
    shared.write("f", "1")
    shared.tool(turn[0], "add", "-q", "--no-commit", "d", "f")
    shared.tool(turn[1], "commit", "-q")
    both_clean(shared)
    shared.write("f", "2")
    r = shared.tool(turn[1], "commit", code=1)
    assert "unable to commit changed stage: 'f.dvc'" in r.err
    shared.tool(turn[1], "commit", "-q", "-f", "f.dvc")
    both_clean(shared)


@pytest.mark.parametrize("turn", TURNS, ids=names)
def test_move_and_remove_what_the_other_added(shared, turn):
    shared.write("a", "a")
    shared.write("d/x", "x")
    (shared.path / "sub").mkdir()
    shared.tool(turn[0], "add", "-q", "a", "d")
    shared.tool(turn[1], "move", "a", "sub/b")
    both_clean(shared)
    shared.tool(turn[0], "move", "d", "e")
    both_clean(shared)
    shared.tool(turn[1], "remove", "e.dvc")
    assert shared.exists("e/x")
    shared.tool(turn[0], "remove", "--outs", "sub/b.dvc")
    assert not shared.exists("sub/b") and not shared.exists("sub/.gitignore")
    assert not shared.exists(".gitignore")


@pytest.mark.parametrize("turn", TURNS, ids=names)
@pytest.mark.parametrize("kind", ["hardlink", "symlink", "copy", "reflink,hardlink,copy"])
def test_link_types(shared, turn, kind):
    shared.dvc("config", "cache.type", kind)
    shared.write("f", "content")
    shared.write("d/a", "a")
    shared.write("d/empty", "")
    shared.tool(turn[0], "add", "-q", "f", "d")
    both_clean(shared)
    shared.tool(turn[1], "add", "-q", "f", "d")
    both_clean(shared)
    shared.tool(turn[1], "unprotect", "f", "d")
    for name in ("f", "d/a"):
        st = os.lstat(shared.path / name)
        assert st.st_nlink == 1 and st.st_mode & 0o200 and not (shared.path / name).is_symlink()
    both_clean(shared)
    assert all(mode == "0o444" for mode, _ in shared.cache().values())


@pytest.mark.parametrize("turn", TURNS, ids=names)
def test_hand_written_text_survives_both(shared, turn):
    shared.write("a", "a")
    shared.tool(turn[0], "add", "-q", "a")
    text = shared.text("a.dvc")
    shared.write("a.dvc", "# mine\n" + text.replace("path: a", "path: a\n  desc: what it is\n  labels: [x, y]")
                 + "meta: {owner: me}\n")
    shared.write("a", "b")
    shared.tool(turn[1], "add", "-q", "a")
    now = shared.text("a.dvc")
    assert now.startswith("# mine\n") and "labels: [x, y]" in now and "meta: {owner: me}" in now
    assert "92eb5ffee6ae2fec3ad71c777531578f" in now


def test_imports_follow_their_source_with_either_tool(shared, tmp_path):
    src = tmp_path / "ext"
    src.write_text("1")
    shared.gd("import-url", src, "e")
    both_clean(shared)
    src.write_text("2")
    shared.dvc("update", "-q", "e.dvc")
    assert shared.text("e") == "2"
    src.write_text("3")
    shared.gd("update", "e.dvc")
    assert shared.text("e") == "3"
    both_clean(shared)
    assert shared.dvc("update", "e.dvc").out.strip() == "'e.dvc' didn't change, skipping"


def test_an_import_by_one_is_updated_by_the_other(shared, make_repo):
    other = make_repo("src", init="gd")
    other.write("f", "1")
    other.write("d/x", "x")
    other.gd("add", "-q", "f", "d")
    other.commit()
    shared.gd("import", "../src", "f")
    shared.dvc("import", "-q", "../src", "d", "-o", "dd")
    both_clean(shared)
    other.write("f", "2")
    other.write("d/y", "y")
    other.gd("add", "-q", "f", "d")
    other.commit()
    shared.dvc("update", "-q", "f.dvc")
    shared.gd("update", "dd.dvc")
    assert shared.text("f") == "2" and shared.text("dd/y") == "y"
    both_clean(shared)


def test_side_by_side(twins):
    """The same history by each tool alone ends in the same bytes, objects and modes."""
    def history(repo, tool):
        run = repo.tool
        repo.write("f", "1")
        repo.write("d/a", "a")
        repo.write("d/s/b", "b")
        run(tool, "add", "-q", "f", "d")
        repo.write("d/s/b", "b2")
        repo.write("d/c", "c")
        run(tool, "add", "-q", "d/s")
        run(tool, "commit", "-q", "-f", "d.dvc")
        repo.write("f", "2")
        run(tool, "add", "-q", "--no-commit", "f")
        run(tool, "commit", "-q")
        (repo.path / "z").mkdir()
        run(tool, "move", "f", "z", env={"X": "1"})
        run(tool, "remove", "d.dvc")

    twins.each(history)
    twins.same_tree(modes=True)
    twins.same_cache()
