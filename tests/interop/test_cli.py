"""The command line itself: DVC's parsers are asked, in one process, what they make of some thousand command lines and how
they lay out their help; ours must say the same."""
import json
import os
import random
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness import DVC, GIT_DATA

COLUMNS = 80
NOT_IN_DVC = {"remote check"}
SAMPLE = int(os.environ.get("CLI_SAMPLE", "700"))


def dvc_python():
    first = Path(DVC).read_text().splitlines()[0]
    return first[2:].strip()


@pytest.fixture(scope="module")
def tool(tmp_path_factory):
    """Ours under the name dvc, so that the names in messages are the same."""
    home = tmp_path_factory.mktemp("cli")
    link = home / "dvc"
    link.symlink_to(GIT_DATA)
    env = {**os.environ, "HOME": str(home / "home"), "XDG_CONFIG_HOME": str(home / "home"), "COLUMNS": str(COLUMNS),
           "XDG_CONFIG_DIRS": str(home / "home"), "GIT_CEILING_DIRECTORIES": str(home)}
    (home / "home").mkdir()

    def run(argv, cwd=None):
        return subprocess.run([str(link), *argv], cwd=cwd or home, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60)
    run.home = home
    return run


@pytest.fixture(scope="module")
def commands(tool):
    return [c for c in tool(["completion", "--list-commands"]).stdout.splitlines() if c not in NOT_IN_DVC]


@pytest.fixture(scope="module")
def oracle(commands):
    ask = {"commands": commands, "columns": COLUMNS}
    p = subprocess.run([dvc_python(), str(Path(__file__).with_name("cli_oracle.py"))], input=json.dumps(ask), text=True,
                       capture_output=True, check=True)
    return json.loads(p.stdout)


def words(usage):
    """The words of a usage text, brackets kept together."""
    text = " ".join(usage.split())
    out, depth, word = [], 0, ""
    for c in text + " ":
        if c == " " and not depth:
            out.append(word)
            word = ""
            continue
        depth += (c in "[(") - (c in "])")
        word += c
    return [w for w in out if w]


def sections(text):
    """usage text, {"positional": [(invocation, explanation lines)], "option": [...]}"""
    usage, rest = text.split("\n\n", 1)
    rows = {"positional": [], "option": []}
    kind = None
    for line in rest.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            kind = {"positional arguments:": "positional", "options:": "option"}.get(line)
        elif kind and re.match(r" {2,4}\S", line):
            m = re.match(r" {2,4}(\S.*?)(?: {2,}(\S.*))?$", line)
            rows[kind].append((m[1], [m[2]] if m[2] else [], line))
        elif kind and line.strip() and rows[kind]:
            rows[kind][-1][1].append(line.strip())
    return usage + "\n", rows


def is_subsequence(few, many):
    it = iter(many)
    return all(x in it for x in few)


def test_help_has_argparse_s_structure(oracle, tool, commands):
    bad = []
    for name in [""] + commands:
        theirs = oracle["help"][name]
        text = tool([*name.split(), "-h"]).stdout
        usage, rows = sections(text)
        mine, want = words(usage), words(theirs["usage"])
        sub = "} ..." in theirs["usage"]
        if mine == want and usage != theirs["usage"]:
            bad.append(f"{name}: broken elsewhere\n{usage}{theirs['usage']}")
        if not sub and not is_subsequence(want, mine):
            bad.append(f"{name}: usage\n{usage}{theirs['usage']}")
        for kind in ("positional", "option"):
            have = [r[0] for r in rows[kind] if not r[2].startswith("    ")]
            need = theirs["rows"][kind]
            if name and not sub and not is_subsequence(need, have):
                bad.append(f"{name}: {kind} rows\n{have}\n{need}")
    assert not bad, "\n".join(bad)


def test_help_wraps_as_argparse(tool, commands):
    """Explanations stand in argparse's column and are broken where Python's textwrap breaks them."""
    import textwrap
    for name in commands:
        text = tool([*name.split(), "-h"]).stdout
        assert max(map(len, text.splitlines())) <= COLUMNS - 2, text
        rows = sections(text)[1]
        inv = [r for k in rows for r in rows[k]]
        longest = max(len(r[0]) for r in inv if not r[2].startswith("    ")) + 4
        longest = max([longest] + [len(r[0]) + 4 for r in inv])
        column = min(longest, 24)
        for invocation, lines, first in inv:
            if not lines:
                continue
            joined = " ".join(lines)
            again = textwrap.wrap(re.sub(r"(?<=\w-) (?=\w)", "", joined), COLUMNS - 2 - column)
            assert lines == again, (name, invocation)
            if len(first) > len(first.rstrip()) or first.strip() != invocation:
                assert first.index(lines[0], len(invocation)) == column, (name, first)


def test_what_only_dvc_has_is_said_to_be_so(tool):
    p = tool(["plots", "show"])
    assert p.returncode == 254 and p.stderr.startswith("ERROR: argument command: invalid choice: 'plots' (choose from 'add', ")
    assert "'plots' is a command of DVC that is not here" in p.stderr.splitlines()[1]


def verdict(p):
    said = p.stderr.splitlines()
    if p.returncode == 254 and said and said[0].startswith("ERROR: "):
        assert p.stdout.startswith("usage: "), p
        return ["error", said[0][7:]]
    if p.returncode == 0 and p.stdout.startswith("usage: "):
        return ["help"]
    if p.returncode == 255 and "not enough values to unpack" in p.stderr:
        return ["crash", "not enough values to unpack (expected 2, got 1)"]
    if p.returncode == 0 and re.fullmatch(r"\d+\.\d+\.\d+\n", p.stdout):
        return ["version"]
    return ["ok"]


def prog(text):
    m = re.match(r"usage: dvc((?: [a-z][a-z-]*)*)", text)
    return "dvc" + m[1] if m else None


def test_command_lines_are_judged_as_dvc_judges_them(oracle, tool):
    cases = oracle["cases"]
    assert len(cases) > 3000
    if len(cases) > SAMPLE:
        keep = [c for c in cases if len(c[0]) <= 2]
        rest = [c for c in cases if len(c[0]) > 2]
        cases = keep[:SAMPLE // 2] + random.Random(1).sample(rest, SAMPLE - min(len(keep), SAMPLE // 2))
    bad = []

    def one(item):
        n, (argv, want) = item
        cwd = tool.home / f"c{n % 16}-{n}"
        cwd.mkdir()
        p = tool(argv, cwd)
        mine = verdict(p)
        if want[0] == "error":
            same = mine[0] == "error" and mine[1].split(" (choose from ")[0] == want[1].split("\n")[0].split(" (choose from ")[0]
            same = same and prog(p.stdout).startswith(want[2].split(" (")[0])
        else:
            same = mine[0] == want[0]
        if not same:
            bad.append(f"{argv}\n   dvc: {want}\n  ours: {mine} {p.returncode} {p.stderr[:200]!r}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, enumerate(cases)))
    assert not bad, f"{len(bad)} differ\n" + "\n".join(sorted(bad)[:40])
