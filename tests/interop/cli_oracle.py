"""Runs under DVC's own Python: what its parsers say of command lines, and how they lay out their help.

stdin: {"commands": [...], "columns": N, "argv": [[...], ...] or null}; stdout: {"help", "cases"}. Without 'argv' the
cases are made from the parsers: every option in full, shortened, glued, repeated, without its value; words missing,
in excess, behind options, behind "--".
"""
import argparse
import contextlib
import io
import itertools
import json
import os
import sys
import textwrap

from dvc.cli import DvcParserError, parser as dvc_parser

VALUES = {"int": ["4", " 7 ", "x", "1_0", "-3", "0x1", ""], "str": ["v", "-1", "a b", "", "-", "a=b"]}


def children(p):
    for a in p._actions:
        if isinstance(a, argparse._SubParsersAction):
            return a.choices
    return {}


def find(root, path):
    for name in path:
        root = children(root)[name]
    return root


def shown(p):
    """Structure of a help text: usage words in order, invocations, which option is required."""
    f = p._get_formatter()
    rows = {"positional": [], "option": []}
    for a in p._actions:
        if a.help != argparse.SUPPRESS:
            rows["option" if a.option_strings else "positional"].append(f._format_action_invocation(a))
    usage = p.format_usage()
    return {"usage": usage, "rows": rows}


def judge(root, argv):
    said = {}
    dvc_parser.logger.error = lambda m, *a: said.setdefault("error", m)
    old = argparse.ArgumentParser.print_help
    argparse.ArgumentParser.print_help = lambda self, file=None: said.setdefault("help", self.prog)
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            root.parse_args(list(argv))
        return ["ok"]
    except DvcParserError:
        return ["error", said["error"], said["help"]]
    except SystemExit:
        return ["help", said["help"]] if "help" in said else ["version", out.getvalue()]
    except ValueError as e:
        return ["crash", str(e)]
    finally:
        argparse.ArgumentParser.print_help = old


def forms(a):
    """Ways to write one option."""
    takes = a.nargs != 0
    kind = "int" if a.type is int else "str"
    for s in a.option_strings:
        if not takes:
            yield [s]
            yield [s + "=1"] if s.startswith("--") else [s + "x"]
        else:
            yield [s]
            for v in (list(a.choices) + ["no-such"] if a.choices else VALUES[kind]):
                yield [s, v]
                yield [s + "=" + v] if s.startswith("--") else [s + v]
            yield [s, "k=v", "--"]
        if s.startswith("--"):
            for n in range(2, len(s)):
                yield [s[:n + 1]] + (["k=v"] if takes else [])


def words_for(p):
    need = []
    for a in p._actions:
        if a.option_strings:
            if a.required:
                need += [a.option_strings[0], "x"]
        elif a.nargs in (None, "+"):
            need.append("w")
    return need


def cases(path, p):
    base = list(path)
    need = words_for(p)
    options = [a for a in p._actions if a.option_strings and a.help != argparse.SUPPRESS]
    for a in options:
        for f in forms(a):
            yield base + f + need
            yield base + need + f
            yield base + need + f + ["late"]
    for tail in ([], ["w"], ["w", "w"], ["w", "w", "w"], ["w"] * 4, ["--", "w"], ["w", "--", "-x"], ["--"], ["-1"], ["-x", "w"],
                 ["--no-such"], ["--no-such=v", "w"], ["w", "-q", "w"], ["-q", "w", "-q", "w"], ["-qv"], ["-vq", "w"], ["-vvh"],
                 ["w", "-h", "--no-such"], ["-"], [""], ["w", "--help"], ["-hx"], ["a b", "-a b"], ["--", "--", "w"]):
        yield base + tail
        yield base + need + tail
    flags = [a.option_strings[0] for a in options if a.nargs == 0 and len(a.option_strings[0]) == 2 and
             a.option_strings[0] not in ("-h",)]
    if flags:
        yield base + ["-" + "".join(f[1] for f in flags)] + need
    for x, y in itertools.combinations([a.option_strings[0] for a in options if a.nargs == 0], 2):
        if any(len([a for a in g._group_actions if x in a.option_strings or y in a.option_strings]) == 2
               for g in p._mutually_exclusive_groups):
            yield base + [x, y] + need
            yield base + [y] + need + [x]


TOP = [[], ["-h"], ["-V"], ["--version"], ["--vers"], ["--v"], ["--cd"], ["--cd", "."], ["--cd=.", "root"], ["-q"], ["-qV"],
       ["help"], ["--help"], ["no-such"], ["it's"], ["-x"], ["-x", "root"], ["--no-such", "root", "--nor-this"], ["--", "root"],
       ["-q", "-v", "root"], ["-q", "root", "-v"], ["--wait", "root"], ["root", "--wait-for-lock"], ["root", "--v"], ["root", "--ve"],
       ["-h", "root"], ["-V", "no-such"], ["no-such", "-V"], ["root", "-V"], ["--cd", "-h", "root"], ["--cd", "-1", "-h"],
       ["root", "--pdb"], ["root", "--s"], ["root", "--show"], ["root", "--cprofile-dump"], ["root", "--viz"], ["remote"],
       ["remote", "no-such"], ["remote", "-h"], ["remote", "-q", "list", "-v"], ["remote", "list", "x"], ["stage", "ad"], ["ls", "-h"],
       ["remote", "--", "list"], ["stage", "add", "-n", "n", "--", "echo", "-h"], ["stage", "add", "-n", "n", "echo", "--de", "x"],
       ["stage", "add", "-n", "n", "echo", "--no-such", "-h"], ["stage", "add", "echo", "-n", "n"]]


def main():
    ask = json.load(sys.stdin)
    os.environ["COLUMNS"] = str(ask["columns"])
    root = dvc_parser.get_main_parser()
    told = {"help": {}, "cases": []}
    argvs = ask.get("argv") or list(TOP)
    for name in ask["commands"]:
        path = name.split()
        p = find(root, path)
        told["help"][name] = shown(p)
        if not ask.get("argv") and not children(p):
            argvs += cases(path, p)
    told["help"][""] = shown(root)
    seen = set()
    for argv in argvs:
        if tuple(argv) not in seen:
            seen.add(tuple(argv))
            told["cases"].append([argv, judge(root, argv)])
    told["wrapped"] = [textwrap.wrap(t, w) for t, w in ask.get("wrap", [])]
    json.dump(told, sys.stdout)


main()
