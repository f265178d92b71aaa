"""Random values and YAML documents for the comparison with ruamel.yaml; everything follows from the seed."""
import random

WORDS = ["a", "b", "lr", "train", "data/raw.csv", "x y", "yes", "no", "on", "off", "true", "True", "TRUE", "tRue", "null",
         "Null", "~", "", "1", "-1", "+1", "017", "0o17", "0x1f", "0b1", "1_000", "1e5", "1e-5", ".5", "1.", "-.5", ".inf",
         "-.inf", ".nan", "2020-01-01", "2020-1-1", "2020-01-01 10:00:00", "2020-01-01T10:00:00Z", "12:30:45", "=", "<<",
         "- x", "-x", "-", "--", "---", "--- a", "...", "? x", "?x", "?", ": x", ":x", ":", "a: b", "a:b", "a:", "a #b",
         "a#b", "#a", " a", "a ", "  ", "a  b", "&a", "*a", "!a", "|", ">", "%a", "@a", "`a", "[a", "]a", "a]", "{a", "}a",
         "a,b", ",a", "a, b", "'a", "a'b", "it's", "\"a\"", "a\"b", "a\nb", "a\n", "\na", "a\n\nb", "a \nb", "a\n b", "\t",
         "a\tb", "a\\b", "C:\\x", "$x", "${x}", "é", "日本語", "😀", "\u0085", "a\u0085b", "\u2028", "a\u2028b", "\u2029",
         "\xa0", "\ufeff", "a\ufeffb", "\x07", "\x7f", "\x00x", "\x1b", "\ud7ff", "\ue000", "\ufffd", "\U0010ffff", "_", "-_",
         "+_", "0_", "._", "1__0", "0x", "0b", "0o", "0x_", "1e", "1e+", "1.e5", "1.5e3", "1_0.5", "e5", "99999999999999999999",
         "1:2", "1:20", "1:20.5", "190:20:30", "0.", "00", "007", "08", "1,000", "y", "n", "Y", "NO", "a" * 79, "a" * 130,
         "python train.py --lr 0.1 --epochs 10", "s3://bucket/key", "ab: cd: ef", "x: ", "x :y", "x : y", "# ", "a # b"]


def words(r):
    """A text of some length, to meet the folding at column 80."""
    n = r.choice([3, 12, 13, 14, 20, 40])
    sep = r.choice([" ", " ", " ", "  ", " \n", "\n ", "\n", "\n\n", "\t"])
    alpha = r.choice(["ab", "abcdef'", "xyz\"\\", "aé日", "a:#-?", "ab,[]{}"])
    out = []
    for _ in range(n):
        out.append("".join(r.choice(alpha) for _ in range(r.choice([1, 2, 5, 7, 8, 9, 10, 25]))))
    return "".join(w + r.choice([" ", " ", " ", " ", sep]) for w in out).rstrip(" \n") if r.random() < .8 else sep.join(out)


def text(r):
    k = r.random()
    if k < .55:
        return r.choice(WORDS)
    if k < .75:
        return words(r)
    if k < .85:
        return r.choice(WORDS) + r.choice(WORDS)
    chars = "ab 1-:#?'\"\n\t,[]{}&*!|>%@`\\.=<~é日😀\u0085\u2028\xa0\x01"
    return "".join(r.choice(chars) for _ in range(r.randrange(1, 9)))


def number(r):
    k = r.random()
    if k < .3:
        return r.randrange(-1000, 1000)
    if k < .4:
        return r.choice([2**63, -2**63, 2**64, 10**25, -10**30])
    if k < .5:
        return r.choice([float("inf"), float("-inf"), 0.0, -0.0, 1e16, 1e-5, 1e22, 1.0, 1e300, 5e-324])
    return r.choice([r.random(), r.uniform(-1e6, 1e6), r.randrange(10**6) / 10**r.randrange(9), 10.0 ** r.randrange(-30, 30)])


def scalar(r):
    k = r.random()
    if k < .65:
        return text(r)
    if k < .85:
        return number(r)
    return r.choice([True, False, None, None])


def value(r, depth=4):
    """What JSON can hold."""
    k = r.random()
    if depth == 0 or k < .5:
        return scalar(r)
    if k < .75:
        return [value(r, depth - 1) for _ in range(r.choice([0, 1, 1, 2, 3]))]
    return {text(r): value(r, depth - 1) for _ in range(r.choice([0, 1, 2, 3, 4]))}


# Documents as people write them: keys, dashes, flow, quotes, comments, blank lines.
KEYS = ["a", "b", "cmd", "deps", "outs", "params", "stages", "train", "x-y", "key with space", "1", "true", "é"]
PLAIN = ["1", "foo.txt", "0.1", "1e-5", "true", "null", "~", "2020-01-01", "a b c", "it's", "data/raw", "0x1F", "017", "1_000",
         "+1", "1.50", "0o17", "1e5", "1.0E+3", "-.5", ".5", "some longer text", "http://a/b#c", "a,b", "yes", "b1946ac92492d2347",
         "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43", "0.10", "-0", "1.", "1_000.5", "00012", "0b101", "1e05", "12e03"]


def comment(r):
    return "#" + r.choice(["", " "]) + r.choice(["c", "a comment", "TODO: x", "é", "## deep", "quote ' \" here"])


def eol(r, p):
    return (" " * r.choice([1, 1, 2, 5, 12]) + comment(r)) if r.random() < p else ""


def between(r, ind, p):
    out = ""
    while r.random() < p:
        out += r.choice(["\n", "\n", " " * ind + comment(r) + "\n", comment(r) + "\n",
                         " " * (ind + 2) + comment(r) + "\n"])
    return out


def flow(r, depth):
    k = r.random()
    if depth == 0 or k < .6:
        return r.choice(PLAIN[:9] + ["'q'", '"d"', "[]", "{}"]).replace("a b c", "abc")
    if k < .8:
        return "[" + ", ".join(flow(r, depth - 1) for _ in range(r.randrange(4))) + "]"
    keys = r.sample(KEYS, r.randrange(4))
    return "{" + ", ".join(f"{x}: {flow(r, depth - 1)}" for x in keys) + "}"


def leaf(r, ind, p):
    k = r.random()
    if k < .55:
        return r.choice(PLAIN) + eol(r, p) + "\n"
    if k < .63:
        return "'" + r.choice(["q", "it''s", "1", "a: b", ""]) + "'" + eol(r, p) + "\n"
    if k < .70:
        return '"' + r.choice(["d", "a\\nb", "\\u00e9", "1", "x # y"]) + '"' + eol(r, p) + "\n"
    if k < .82:
        return flow(r, 2) + eol(r, p) + "\n"
    if k < .92:
        pad = " " * (ind + 2)
        head = r.choice(["|", "|", ">", "|-", ">-", "|+", ">+"])
        lines = [r.choice(["line one", "second  line", "x", "", "  deeper", "- dash", "# no comment"])
                 for _ in range(r.randrange(1, 4))]
        lines[0] = "start"
        return head + eol(r, p / 2) + "\n" + "".join((pad + x if x else "") + "\n" for x in lines)
    return eol(r, p) + "\n"


def block(r, ind, depth, p):
    """A block mapping or sequence at column ind, with its final line break."""
    pad = " " * ind
    out = between(r, ind, p)
    n = r.randrange(1, 4)
    if r.random() < .7:
        for key in r.sample(KEYS, n):
            out += pad + key + ":"
            if depth and r.random() < .45:
                sub = ind + r.choice([2, 2, 2, 4])
                if r.random() < .4:
                    out += eol(r, p) + "\n" + seq(r, r.choice([ind, sub]), depth - 1, p)
                else:
                    out += eol(r, p) + "\n" + block_map(r, sub, depth - 1, p)
            else:
                out += " " + leaf(r, ind, p)
            out += between(r, ind, p)
        return out
    return out + seq(r, ind, depth, p)


def block_map(r, ind, depth, p):
    pad = " " * ind
    out = between(r, ind, p)
    for key in r.sample(KEYS, r.randrange(1, 4)):
        out += pad + key + ":"
        if depth and r.random() < .4:
            sub = ind + r.choice([2, 2, 4])
            if r.random() < .4:
                out += eol(r, p) + "\n" + seq(r, r.choice([ind, sub]), depth - 1, p)
            else:
                out += eol(r, p) + "\n" + block_map(r, sub, depth - 1, p)
        else:
            out += " " + leaf(r, ind, p)
        out += between(r, ind, p)
    return out


def seq(r, ind, depth, p):
    pad = " " * ind
    out = between(r, ind, p)
    for _ in range(r.randrange(1, 4)):
        k = r.random()
        if depth and k < .3:
            body = block_map(r, ind + 2, depth - 1, 0 if r.random() < .5 else p).lstrip("\n")
            if body.lstrip(" ").startswith("#"):
                body = f"{' ' * (ind + 2)}k: v\n" + body
            out += pad + "- " + body.lstrip(" ")
        elif depth and k < .4:
            out += pad + "-" + eol(r, p) + "\n" + seq(r, ind + 2, depth - 1, p)
        else:
            out += pad + "- " + leaf(r, ind, p)
        out += between(r, ind, p)
    return out


def document(r, p):
    """p: how often a comment or a blank line turns up."""
    head = r.choice(["", "", "", comment(r) + "\n", comment(r) + "\n\n", "---\n", "\n"]) if p else ""
    return head + block(r, 0, r.choice([1, 2, 3]), p)


SEEDS = [
    "a: &x 1\nb: *x\nc: [*x, *x]\n",
    "base: &b\n  k: 1\n  l: [1, 2]\nuse:\n  <<: *b\n  m: 2\nuse2:\n  z: 1\n  <<: *b\n",
    "a: &a {x: 1}\nb: &b {y: 2}\nc:\n  <<: [*a, *b]\n  x: 5\n",
    "l: &l\n- 1\n- 2\nm: *l\nn: *l # again\n",
    "s: &s text\nt: *s\n*s : v\n",
    "unused: &u {a: 1}\nother: &v val\n",
    "x: [1, 2, # c\n  3]\ny: {a: 1, # d\n  b: 2}\n",
    "x: [\n  a,\n  b\n]\ny: {\n  a: 1,\n  b: [2]\n}\n",
    "p: a plain\n  that goes on\n  and on\nq: 'single\n  quoted'\nr: \"double \\\n  quoted\"\n",
    "p: a plain\n\n  with a gap\nq: 'x\n\n  y'\n",
    "? complex\n: value\n? [a, b]\n: other\n",
    "? |\n  block key\n: - 1\n  - 2\n",
    "%YAML 1.1\n---\na: yes\nb: 017\nc: 1:30\nd: off\n",
    "--- # start\na: 1\n...\n", "# only a comment\n", "", "\n\n", "--- text\n", "- a\n-\n  - b\n- - c\n  - d\n",
    "a:\n  - b: 1\n    c: 2\n\n  - b: 3\n    # in\n    c: 4\n# end\n", "key: >-\n  folded\n  text\n\n  para\n   more\n\nb: 1\n",
    "key: |2\n   two\n  one\nb: |+\n  keep\n\n\nc: 1\n", "a: !!str 1\nb: 3\n", "a: !x 1\n",
    "a: {}\nb: []\nc: {} # e\nd: [] # f\n", "a: [{b: 1}, {c: 2, d: 3}, [4, [5]]]\n", "a: [b: 1, c]\n", "{a: 1, b: [x, y]}\n",
    "[1, 2, {a: b}]\n", "'quoted key': 1\n\"dq\": 2\n1.5: 3\nnull: 4\n~: 5\n", "a: b: c\n", "a: 1\na: 2\n", "- 1\n 2\n",
    "stages:\n  train:\n    cmd: python train.py  # go\n    deps:\n    # the data\n    - data\n    - src # code\n\n    outs:\n"
    "    - model:\n        cache: false\n        persist: true\n  # second\n  eval:\n    cmd:\n    - a\n    - b\n    params:\n    - lr\n"
    "    - p.json:\n        - x\n        - y\n\nplots:\n- a.csv:\n    x: 1\n",
    "a:\t1\n", "a: 1\t# c\n", "\ta: 1\n", "a: x:y\nb: http://a/?q#f\nc: -\nd: - x\n", "a: =\n", "<<: 1\n", "a: <<\n", "=: 1\n",
    "a: 2020-13-01\n", "a: 2020-02-30\n", "a: 2001-12-14T21:59:43.123456789Z\nb: 2001-12-14 1:2:03 +1\nc: 2020-1-1\n", "a: \x00\n",
    "a: \x01b\n".replace("\x01", "\x07"), "k: \"\\x41\\u00e9\\U0001F600\\N\\_\\L\\P\\e\\a\\0\\/\"\n", "k: \"\\q\"\n", "k: 'a''b'\n", "k: \"a\n",
    "k: [1, 2\n", "k: {a: 1\n", "k: [a, , b]\n", "k: {a, b: 1, }\n", "k: [a,]\n", "k: @x\n", "k: `x\n", "k: %x\n", "%x\n", "k: a #b\n  c\n", "a: b\nc\n",
    "a: |\n  x\n # c\nb: 1\n", "a: |\n  x\n\n# c\n\nb: 1\n", "a:\n# c1\n\n# c2\n  b: 1\n\n\n\n# c3\nd:\n  - 1\n  # c4\n\n  - 2\n  # c5\ne: 1\n",
]


def mutated(r):
    """One of the seeds, or two, with some characters or lines changed."""
    s = r.choice(SEEDS)
    if r.random() < .3:
        s += r.choice(SEEDS)
    for _ in range(r.choice([0, 1, 1, 2, 3])):
        k = r.random()
        i = r.randrange(len(s) + 1)
        if k < .4:
            s = s[:i] + r.choice(list(" \n:-#[]{},'\"&*|>?!%@ab1\t") + ["\n\n", "  ", ": ", "- ", " #", "# c\n", "\n  "]) + s[i:]
        elif k < .7:
            s = s[:i] + s[i + r.randrange(1, 3):]
        else:
            lines = s.split("\n")
            j = r.randrange(len(lines))
            if k < .8:
                lines.insert(r.randrange(len(lines)), lines[j])
            elif k < .9:
                del lines[j]
            else:
                lines[j] = r.choice(["  ", " ", "- "]) + lines[j]
            s = "\n".join(lines)
    return s


def changed(r, v, depth=3):
    """A value like v with some differences."""
    if isinstance(v, dict):
        out = {}
        for k, x in v.items():
            if r.random() > .15:
                out[k] = changed(r, x, depth - 1) if r.random() < .6 else x
        if r.random() < .3:
            out[r.choice(KEYS) + "2"] = value(r, 1)
        return out
    if isinstance(v, list):
        out = [changed(r, x, depth - 1) if r.random() < .4 else x for x in v]
        if r.random() < .2 and out:
            del out[r.randrange(len(out))]
        if r.random() < .15:
            out.insert(r.randrange(len(out) + 1), value(r, 1))
        return out
    return scalar(r) if r.random() < .6 else v


def rng(seed):
    return random.Random(seed)
