"""A work tree of several file systems, or with places that may not be written: nothing old goes before the new is whole."""
import os
import subprocess

import pytest
from harness import GIT_DATA

OWN_MOUNTS = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]


def in_mounts(repo, script, **kw):
    """A shell with another file system at 'far' in the repository; what lies there is lost at its end."""
    return repo.run([*OWN_MOUNTS, "mkdir -p far && mount -t tmpfs t far && " + script, GIT_DATA], **kw)


def imports_and_updates_on_another_mount(repo, make_repo):
    other = make_repo("other")
    other.write("plain/a", "1")
    other.commit()
    def next_one(text):
        return f"echo {text} > {other.path}/plain/a && git -C {other.path} commit -qam {text}"
    said = in_mounts(repo, f'"$0" import {other.path} plain -o far/plain && {next_one("two")} && '
                           '"$0" update far/plain.dvc && cat far/plain/a && ls -A far')
    assert said.out.split()[-4:] == ["two", ".gitignore", "plain", "plain.dvc"], said


def moves_to_another_mount_and_back(repo):
    script = ('mkdir d && echo 1 > d/a && chmod +x d/a && ln -s a d/link && "$0" add -q d && "$0" move d far/e && '
              'test ! -e d && cat far/e/a && test -x far/e/a && "$0" status far/e.dvc && ls -A far && '
              '"$0" move far/e back && cat back/a && ls -A far')
    said = in_mounts(repo, script)
    assert "\n1\nData and pipelines are up to date.\n.gitignore\ne\ne.dvc\n" in said.out, said
    assert said.out.endswith("\n1\n") and repo.text("back/a") == "1\n"


def a_move_that_finds_no_room(repo):
    script = ('mount -t tmpfs -o size=64k t far && head -c 300000 /dev/zero > f && "$0" add -q f && ! "$0" move f far/g && '
              'ls -A far && test -s f && test -s f.dvc')
    assert in_mounts(repo, script).out == "", script


if not subprocess.run([*OWN_MOUNTS, "mount -t tmpfs t /mnt"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
    test_imports_and_updates_on_another_mount = imports_and_updates_on_another_mount
    test_moves_to_another_mount_and_back = moves_to_another_mount_and_back
    test_a_move_that_finds_no_room = a_move_that_finds_no_room


@pytest.fixture
def far_tmp(repo):
    """Temporaries of the repository on another file system than the work tree."""
    far = f"/dev/shm/git-data-test-{os.getpid()}"
    os.mkdir(far)
    repo.rm(".dvc/tmp")
    os.symlink(far, repo.path / ".dvc/tmp")
    yield far
    subprocess.run(["rm", "-rf", far], check=True)


def test_an_import_from_a_far_temporary(repo, make_repo, far_tmp):
    assert os.stat(far_tmp).st_dev != os.stat(repo.path).st_dev
    other = make_repo("other")
    for text in ("one", "two"):
        other.write("plain/a", text)
        other.commit()
        repo.gd(*(["import", str(other.path), "plain"] if text == "one" else ["update", "plain.dvc"]))
        assert repo.text("plain/a") == text
    assert sorted(os.listdir(repo.path)) == [".dvc", ".dvcignore", ".git", ".gitignore", "plain", "plain.dvc"]


def test_what_add_could_not_place_is_not_recorded(repo, tmp_path):
    (tmp_path / "src/x").mkdir(parents=True)
    (tmp_path / "src/x/a").write_text("a")
    (repo.path / "d/src/x").mkdir(parents=True)
    (repo.path / "d/src/x").chmod(0o555)
    said = repo.gd_unprivileged("add", "-f", "-o", "d", str(tmp_path / "src"), code=1)
    assert "Permission denied" in said.err and "Checkout failed for following targets:\nd/src\n" in said.err
    assert not repo.exists("d/src.dvc")
