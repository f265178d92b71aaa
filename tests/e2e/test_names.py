"""File names that look like options, hold control bytes, or are no text: every command takes them, a terminal never does."""
import json
import os
import pty
import subprocess

import pytest
from harness import GIT_DATA

NAMES = ["-rf", "--help", "new\nline", "esc\x1b[31mred", "\x07bell", "cr\rx", "\u009b31mcsi", " lead", "#hash", "*", "${x}",
         "a: b", "q'uote", '"dq', "C:\\x", "&a", "!t", "~", "null", "1e3", "%s%n", "é"]


@pytest.mark.parametrize("name", NAMES, ids=[ascii(n) for n in NAMES])
def test_a_name_makes_the_whole_way(repo, name):
    text = b"text of " + name.encode()
    repo.write(name, text)
    repo.gd("add", "--", "./" + name)
    assert repo.exists(name + ".dvc")
    repo.rm(name)
    repo.gd("checkout")                             # without a target: a colon would part it
    assert repo.read(name) == text
    assert repo.gd("status", "--json").json == {}
    repo.write(name, b"changed")
    assert name in repo.gd("data", "status", "--json").json["uncommitted"]["modified"]
    repo.git("add", "--", "./" + name + ".dvc")     # not -A: a .gitignore cannot name a line break
    repo.git("commit", "-q", "-m", "x")
    assert [name] == [x["path"] for x in repo.gd("diff", "--json").json["modified"]]
    repo.gd("commit", "-f")
    repo.gd("gc", "-w", "-f")
    assert repo.read(name) == b"changed"
    repo.gd("move", "--", "./" + name, "./moved")
    repo.gd("remove", "--", "./moved.dvc")
    assert repo.read("moved") == b"changed"


def on_terminal(repo, *args):
    """What a terminal would get on stdout and stderr."""
    ours, theirs = pty.openpty()
    p = subprocess.Popen([GIT_DATA, *args], cwd=repo.path, env={**repo.env, "TERM": "xterm"}, stdin=subprocess.DEVNULL,
                         stdout=theirs, stderr=theirs)
    os.close(theirs)
    got = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            part = b""
        if not part:
            break
        got += part
    os.close(ours)
    p.wait(60)
    return got


COMMANDS = [("status",), ("data", "status"), ("data", "status", "--granular"), ("diff",), ("diff", "--md"), ("list", "."), ("list", ".", "-R"),
            ("dag",), ("dag", "--dot"), ("dag", "--mermaid"), ("dag", "--outs"), ("stage", "list", "--all"), ("gc", "-w", "--dry"),
            ("checkout",), ("checkout", "--summary"), ("repro",), ("commit", "-f"), ("push", "-r", "none"), ("fetch",), ("status", "no\x1b[31msuch"),
            ("add", "no\x1b[31msuch"), ("no\x1b[31msuch",), ("--no\x1b[31msuch",), ("remote", "list"), ("metrics", "show", "x\x1b[31m")]


def test_no_command_gives_a_name_to_the_terminal_as_it_is(repo):
    for n in ("esc\x1b[31mred", "\x07bell", "cr\rx", "\u009b31mcsi"):
        repo.write(n, n)
        repo.gd("add", "-q", "--", "./" + n)
    (repo.path / "d\x1b[31m").mkdir()
    repo.write("d\x1b[31m/f\x1b[31m", "x")
    repo.gd("add", "-q", "d\x1b[31m")
    repo.commit()
    for n in ("esc\x1b[31mred", "\x07bell", "\u009b31mcsi"):
        repo.write(n, "other")
    repo.rm("cr\rx")
    for args in COMMANDS:
        got = on_terminal(repo, *args)
        assert b"\x1b[31mred" not in got and b"\x1b[31msuch" not in got and b"\x1b[31m/" not in got, (args, got)
        assert b"\x07" not in got and b"cr\rx" not in got and "\u009b".encode() not in got, (args, got)


def test_a_name_that_is_no_text_does_not_spoil_the_lock_file(repo):
    """DVC cannot write it into a .dvc file either; but the next command must work."""
    with open(os.fsencode(repo.path) + b"/\xff\xfebad", "wb") as f:
        f.write(b"x")
    said = repo.gd("add", b"\xff\xfebad".decode(errors="surrogateescape"), code=None)
    assert said.code == 1 and "path locks were not given back" not in said.err, repr(said)
    repo.write("f", "f")
    repo.gd("add", "f")
    lock = repo.path / ".dvc/tmp/rwlock"
    assert not lock.exists() or json.loads(lock.read_text()) == {}


def test_a_lock_on_a_name_that_is_no_text_is_read(repo):
    """As Python writes it: a lone surrogate."""
    name = os.fsencode(repo.path).decode() + "/\udcff"
    repo.write("f", "f")
    repo.write(".dvc/tmp/rwlock", json.dumps({"write": {name: {"pid": 999999999, "cmd": "dvc add \udcff"}}}))
    repo.gd("add", "f")
