"""Random pipelines and random command lines on them, run by the reference tool and by ours side by side.

    random_pipelines.py [--seeds A-B] [--steps N] [--topic T] [--mixed] [--keep-going] [--no-shrink] [--verbose]

As random_ops.py, whose places, reference process and shrinking this uses; the generator is plgen.py, with the topics of
its table COMMANDS. Standard output is compared as it is, but for the rules below. After the steps that one differs in
are found, lines of the files that were written are left out as well, as long as the same command differs.
"""
import argparse
import itertools
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent))

import plgen  # noqa: E402
import random_ops  # noqa: E402
from opgen import Step  # noqa: E402
from scenario import talk  # noqa: E402

READS = {"status", "dag", "params", "metrics", "diff", "data"}


class Rules:
    """What is compared loosely, each with its reason."""

    @staticmethod
    def out(argv, text):
        # The reminder lists files in the order of a set.
        text = re.sub(r"^\tgit add (.*)$", lambda m: "\tgit add " + " ".join(sorted(shlex.split(m[1]))), text, flags=re.M)
        if "--json" in argv:
            return random_ops.Rules.out(argv, text)
        # Tables of differences list files, and failed checkouts their targets, in the order of a set.
        if argv[:2] in (["params", "diff"], ["metrics", "diff"]) or argv[0] == "checkout":
            return sorted(text.splitlines())
        return text

    @staticmethod
    def err(argv, text):
        # A set again: warnings of a checkout. Commits differ where the address of a remote is in a file.
        lines = [re.sub(r"^ERROR: unexpected error.*", "ERROR: unexpected error", x) for x in talk(text)]
        # And the names of parameters that are missing.
        lines = [re.sub(r"Parameters '(.*)' are missing", lambda m: "Parameters '%s' are missing" % ", ".join(sorted(m[1].split(", "))), x)
                 for x in lines]
        return sorted(re.sub(r"'[0-9a-f]{40}'|'[0-9a-f]{7}'", "'<rev>'", x) for x in lines)


class Bench(random_ops.Bench):
    mixed = False

    def places(self):
        """mixed: in the second place the tools take turns, so that each goes on from what the other left."""
        d, o = super().places()
        turn = itertools.count()

        def alternate(*args):
            return (self.run_ours if next(turn) % 2 else self.server.run)(*args)

        if self.mixed:
            o.run_tool = alternate
        return d, o

    def compare(self, step, a, b, d, o):
        show = f"--- dvc: exit {a[0]}\n{a[1]}--- stderr\n{a[2][-1500:]}--- ours: exit {b[0]}\n{b[1]}--- stderr\n{b[2][-1500:]}"
        if step.argv is not None:
            if a[0] != b[0]:
                return "exit", show
            if a[0] == 254 and b[0] == 254:     # the usage has words of our own
                a, b = (a[0], "", a[2]), (b[0], "", b[2])
            if Rules.out(step.argv, a[1]) != Rules.out(step.argv, b[1]):
                return "out", show
            if Rules.err(step.argv, a[2]) != Rules.err(step.argv, b[2]):
                return "err", show
            if step.argv[0] in READS:
                return None
        x, y = d.snapshot(), o.snapshot()
        if x != y:
            lines = [f"{k}\n   dvc:  {x.get(k)!r}\n   ours: {y.get(k)!r}" for k in sorted(set(x) | set(y)) if x.get(k) != y.get(k)]
            return "tree", "\n".join(lines[:12]) + "\n" + show
        return None

    def all(self, prelude, steps):
        """Every difference of the sequence: after one that left the places as they were it goes on."""
        d, o = self.places()
        res = []
        try:
            for i, _, _, bad in self.differences(prelude, steps, d, o):
                res.append((i, *bad))
                argv = steps[i].argv
                if bad[0] == "tree" or argv is None or argv[0] not in READS and d.snapshot() != o.snapshot():
                    return res
            found = self.crossed(steps, d, o)
            return res + ([found] if found else [])
        except subprocess.TimeoutExpired as exc:
            return [*res, (len(steps) - 1, "hang", str(exc))]
        finally:
            shutil.rmtree(d.top.parent, ignore_errors=True)

    @staticmethod
    def key(steps, found):
        """What kind of difference it is: the command, and the words with names left out."""
        i, kind, text = found
        verb = " ".join(steps[i].argv[:2] if steps[i].argv[0] in ("data", "stage", "metrics", "params") else steps[i].argv[:1]) \
            if i < len(steps) and steps[i].argv else "end"
        lines = [re.sub(r"'[^']*'|\d+", "_", x)[:90] for x in text.splitlines() if x.startswith(("ERROR", "WARNING", "--- dvc: exit", "--- ours: exit"))]
        return f"{verb}: {kind}: " + "; ".join(dict.fromkeys(lines)) if kind in ("exit", "err") else f"{verb}: {kind}"

    def smaller(self, prelude, steps, found):
        """Lines of written files are left out."""
        key = self.key(steps, found)
        again, tries = True, 0
        while again and tries < 50:
            again = False
            for i, s in enumerate(steps):
                if not isinstance(s, plgen.Write):
                    continue
                for w in s.shorter():
                    tries += 1
                    if tries > 50:
                        break
                    cut = steps[:i] + [w] + steps[i + 1:]
                    now = self.run(prelude, cut)
                    if now and now[0] == found[0] and self.key(cut, now) == key:
                        steps, found, again = cut, now, True
                        break
                if again:
                    break
        return steps, found


PRELUDE = [Step("git init -q"), Step(argv=["init", "-q"]), Step("git add -A; git commit -qm init")]


def main():
    from harness import DVC, GIT_DATA
    ap = argparse.ArgumentParser()
    ap.add_argument("--seeds", default="1-50")
    ap.add_argument("--steps", type=int, default=10)
    ap.add_argument("--keep-going", action="store_true")
    ap.add_argument("--no-shrink", action="store_true")
    ap.add_argument("--topic")
    ap.add_argument("--mixed", action="store_true", help="the tools take turns in one place, beside DVC alone in the other")
    ap.add_argument("--base")
    ap.add_argument("--verbose", action="store_true")
    args = ap.parse_args()
    a, _, b = args.seeds.partition("-")
    base = args.base or tempfile.mkdtemp(prefix="random-")
    bench = Bench(DVC, GIT_DATA, base)
    bench.mixed = args.mixed
    seen, bad, t0, n = {}, 0, time.time(), 0
    try:
        for seed in range(int(a), int(b or a) + 1):
            steps = plgen.generate(seed, args.steps, args.topic)
            if args.verbose:
                print(f"seed {seed}", *[s.render() for s in steps], sep="\n", flush=True)
            n += 1
            every = bench.all(PRELUDE, steps)
            bad += bool(every)
            for found in every:
                key = bench.key(steps, found)
                seen[key] = seen.get(key, 0) + 1
                if seen[key] > 1 and args.keep_going:
                    continue
                less, found = steps[:found[0] + 1], found
                if not args.no_shrink:
                    less, found = bench.shrink(PRELUDE, less, found)
                    less, found = bench.smaller(PRELUDE, less, found)
                print(f"=== seed {seed}: {key}", *[s.render() for s in less[:found[0] + 1]], "...differs:", found[2], sep="\n", flush=True)
            if every and not args.keep_going:
                break
    finally:
        bench.server.stop()
        shutil.rmtree(base, ignore_errors=True)
    random_ops.summary(n, bad, t0, seen, bench.known)
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
