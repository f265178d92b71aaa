"""What a caller may hand over: closed streams, settings that are links, a linked work tree, a pipe that waits for each answer."""
import os
import subprocess

import pytest

from harness import GIT_DATA


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_closed_stream_is_no_file_of_ours(repo, closed):
    """A descriptor that is free is given to the next file that is opened: a lock, a pointer, an object."""
    repo.write("f", "f\n")
    repo.gd("add", "-q", "f")
    repo.write("f", "other\n")

    def close():
        for fd in closed:
            os.close(fd)
    p = subprocess.run([GIT_DATA, "add", "-v", "f"], cwd=repo.path, env=repo.env, preexec_fn=close, timeout=60)
    assert p.returncode == 0
    assert repo.text(".dvc/tmp/lock").strip().isdigit()
    for path in [*repo.path.rglob("*.dvc"), *(repo.path / ".dvc").rglob("*")]:
        assert not path.is_file() or b"git add" not in path.read_bytes()
    assert repo.gd("status", "--json").json == {}


@pytest.mark.parametrize("level, name", [("--global", "dvc/config"), ("--global", "git-data/config"), ("--system", "dvc/config")])
def test_settings_that_are_a_link_are_written_where_it_leads(repo, tmp_path, level, name):
    base = tmp_path / "settings"
    target = tmp_path / "dotfiles/here"
    target.parent.mkdir()
    target.write_text("")
    link = base / name
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    env = {"XDG_CONFIG_HOME": str(base), "XDG_CONFIG_DIRS": str(base), "DVC_GLOBAL_CONFIG_DIR": "", "DVC_SYSTEM_CONFIG_DIR": ""}
    if name.startswith("git-data"):
        link.unlink()
        repo.gd("config", level, "repro.jobs", "3", env=env)
        made, = [p for p in link.parent.iterdir()]
        made.unlink()
        made.symlink_to(target)
        link = made
        repo.gd("config", level, "repro.jobs", "4", env=env)
    else:
        repo.gd("config", level, "core.autostage", "true", env=env)
    assert link.is_symlink() and target.read_text().strip()


def test_a_repositorys_settings_are_written_inside_it_only(repo, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("")
    (repo.path / ".dvc/config.local").symlink_to(outside)
    repo.run(["sh", "-c", "mkdir shared; : >shared/config; ln -sf ../shared/config .dvc/config"])
    repo.gd("config", "core.autostage", "true")
    assert (repo.path / ".dvc/config").is_symlink() and "autostage" in repo.text("shared/config")
    repo.gd("config", "--local", "core.autostage", "false")
    assert outside.read_text() == ""


def test_hooks_of_a_linked_work_tree_go_where_git_looks(repo):
    repo.commit("one")
    repo.git("worktree", "add", "-q", "../linked")
    repo.gd("install", cwd="../linked")
    assert {"post-checkout", "pre-commit", "pre-push"} <= set(os.listdir(repo.path / ".git/hooks"))
    assert "already exists" in repo.gd("install", code=1).err


def test_an_install_that_was_killed_is_completed(repo):
    hooks = repo.path / ".git/hooks"
    repo.gd("install")
    (hooks / "pre-push").unlink()
    repo.gd("install")
    assert (hooks / "pre-push").exists()
    (hooks / "pre-push").unlink()
    (hooks / "pre-commit").write_text("#!/bin/sh\n")
    assert "'pre-commit' already exists" in repo.gd("install", code=1).err
    assert not (hooks / "pre-push").exists() and (hooks / "pre-commit").read_text() == "#!/bin/sh\n"


def test_check_ignore_answers_line_by_line(repo):
    repo.write(".dvcignore", "*.tmp\n")
    p = subprocess.Popen([GIT_DATA, "check-ignore", "--stdin"], cwd=repo.path, env=repo.env, text=True, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
    for name in ("a.tmp", "b.tmp"):
        p.stdin.write(f"{name}\n")
        p.stdin.flush()
        assert p.stdout.readline() == f"{name}\n"
    p.stdin.close()
    assert p.wait(60) == 0


def test_a_number_of_jobs_beyond_all_sense_is_cut(repo):
    repo.gd("config", "core.checksum_jobs", "4294967297")
    for i in range(40):
        repo.write(f"d/{i}", f"{i}\n")
    repo.gd("add", "-q", "d")
    assert repo.gd("status", "--json").json == {}
