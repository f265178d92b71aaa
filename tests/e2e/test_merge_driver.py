"""git's merge driver: documents merge by key, stages by name; what cannot be decided changes nothing."""

LOCK = """schema: '2.0'
stages:
  a:
    cmd: make a
    outs:
    - path: a
      hash: md5
      md5: {a}
      size: 1
  b:
    cmd: make b
    outs:
    - path: b
      hash: md5
      md5: {b}
      size: 1
"""
OLD, ONE, TWO = "0" * 31 + "a", "1" * 31 + "a", "2" * 31 + "a"


def drive(repo, anc, our, their, code=0):
    for name, text in (("anc", anc), ("our", our), ("their", their)):
        repo.write(name, text)
    return repo.gd("git-hook", "merge-driver", "--ancestor", "anc", "--our", "our", "--their", "their", code=code)


def test_stages_changed_by_different_sides_merge(repo):
    drive(repo, LOCK.format(a=OLD, b=OLD), LOCK.format(a=ONE, b=OLD), LOCK.format(a=OLD, b=TWO))
    assert repo.text("our") == LOCK.format(a=ONE, b=TWO)


def test_a_stage_run_by_both_sides_is_a_conflict(repo):
    ours = LOCK.format(a=ONE, b=OLD)
    said = drive(repo, LOCK.format(a=OLD, b=OLD), ours, LOCK.format(a=TWO, b=OLD), code=1)
    assert "stage 'a'" in said.err
    assert repo.text("our") == ours


def test_new_and_removed_stages_both_count(repo):
    base = LOCK.format(a=OLD, b=OLD)
    without_a = base[:base.index("  a:")] + base[base.index("  b:"):]
    with_c = base + "  c:\n    cmd: make c\n"
    drive(repo, base, with_c, without_a)
    assert repo.text("our") == without_a + "  c:\n    cmd: make c\n"


def test_a_note_and_a_new_content_merge_and_comments_stay(repo):
    base = f"# kept\nouts:\n- md5: {OLD}\n  size: 3\n  hash: md5\n  path: f\n"
    ours = base + "desc: mine\n"
    theirs = base.replace(OLD, ONE).replace("size: 3", "size: 4")
    drive(repo, base, ours, theirs)
    assert repo.text("our") == ours.replace(OLD, ONE).replace("size: 3", "size: 4")


def test_two_contents_of_one_file_are_a_conflict(repo):
    base = f"outs:\n- md5: {OLD}\n  size: 3\n  hash: md5\n  path: f\n"
    said = drive(repo, base, base.replace(OLD, ONE), base.replace(OLD, TWO), code=1)
    assert "not directories" in said.err
    assert repo.text("our") == base.replace(OLD, ONE)


def test_directories_merge_by_their_members(repo):
    def version(name, **files):
        for k in ("d/x", "d/y", "d/z"):
            if repo.exists(k):
                repo.rm(k)
        for k, v in files.items():
            repo.write(f"d/{k}", v)
        repo.gd("add", "-q", "d")
        return repo.text("d.dvc")

    base, ours, theirs = version("b", x="1", y="1"), version("o", x="2", y="1"), version("t", x="1", z="3")
    drive(repo, base, ours, theirs)
    repo.write("d.dvc", repo.text("our"))
    repo.gd("checkout", "-f", "-q")
    assert (repo.text("d/x"), repo.text("d/z"), repo.exists("d/y")) == ("2", "3", False)
    assert "nfiles: 2" in repo.text("our") and "size: 2" in repo.text("our")


def test_a_file_that_cannot_be_read_stays(repo):
    base = f"outs:\n- md5: {OLD}\n  hash: md5\n  path: f\n"
    broken = "<<<<<<< a\n" + base
    said = drive(repo, base, broken, base, code=None)
    assert said.code != 0 and repo.text("our") == broken
