"""What random_pipelines.py runs: a seed and a topic give steps, from dvc.yaml files, parameters and command lines.

Files are text from the start, so that a difference can be shrunk by leaving lines out (Write.shorter) and so that
layout, quotes and comments vary.
"""
import json
import random
import re
import shlex

from opgen import Step

WORDS = {"true", "false", "null", "yes", "no", "on", "off"}
ODD = ["1e-5", "1E5", "1e5", ".inf", "-.INF", ".nan", "0o17", "017", "0x1F", "1_000", "+1", "-0.0", "1.", ".5", "1.50", "yes",
       "No", "on", "~", "null", "Null", "", "true", "TRUE", "False", "'1'", '"0.1"', "'true'", "''", '""', "12345678901234567890",
       "1e400", "0.1", "3.0", "100000000000000000000000.0", "1e16", "1e15", "123456789.123456789", "0.00001", "1e22", "é ☃",
       "'it''s'", '"a\\tb\\u00e9\\x41"', "a: b", "'a: b'", "a#b", "a #b", "!!str 5", "!!float 5", "!foo bar", "0b11", "1:20",
       "'#x'", "=", "<<", "-", "- x", "{}", "[]", "[1, 2.5, x]", "{a: 1, b: {c: [d]}}", "[[1], {a: b}]", "[a, [b, c]]",
       "|\n  two\n  lines\n", ">-\n  fol\n  ded\n", "'long " + "word " * 30 + "end'", "x" * 120, "emo😀ji", "12e03", "0.1e1",
       "1__0", "0777", "08", "0o8", "-1", "- 1", "1e", "e1", "NaN", "Infinity", "True ", "'x  '", "\"\\n\"", "&a x", "n", "y"]
DATES = ["2020-01-02", "2020-01-02 03:04:05", "2020-01-02T03:04:05Z"]
KEYS = ["lr", "n", "a", "b", "train", "epochs", "x.y", "1", "true", "null", "ké", "a b", "item", "key", "l", "d", "opts", "flag",
        "s", "deep"]


def scalar(r, s):
    """A string in YAML, in some style."""
    plain = re.fullmatch(r"[A-Za-z_./][\w ./=>-]*", s) and s.lower() not in WORDS and s == s.strip() and ": " not in s \
        and " #" not in s and not s.startswith((".inf", ".nan", "...")) and s.isascii()
    if plain and r.random() < 0.8:
        return s
    x = r.random()
    if "\n" not in s and x < 0.5 and s.isprintable():
        return "'" + s.replace("'", "''") + "'"
    return json.dumps(s, ensure_ascii=r.random() < 0.5)


class Raw(str):
    """YAML text that is written as it is."""


def flow(r, v):
    if isinstance(v, Raw):
        return v if "\n" not in v and not re.search(r"[,{}\[\]#]|: ", v) and v.strip() else "1"
    if isinstance(v, str):
        return scalar(r, v)
    if isinstance(v, bool) or v is None:
        return {True: "true", False: "false", None: "null"}[v]
    if isinstance(v, dict):
        return "{" + ", ".join(f"{flow(r, k)}: {flow(r, x)}" for k, x in v.items()) + "}"
    if isinstance(v, list):
        return "[" + ", ".join(flow(r, x) for x in v) + "]"
    return json.dumps(v)


def block(r, v, ind, after):
    """What follows 'key:' or '-', with its line end."""
    pad = " " * ind
    if isinstance(v, (dict, list)) and v and r.random() < 0.85:
        out = ""
        if isinstance(v, dict):
            for i, (k, x) in enumerate(v.items()):
                if r.random() < 0.03 and i:
                    out += f"{pad}# note\n"
                start = "" if after == "- " and i == 0 else pad
                out += f"{start}{flow(r, k)}:{block(r, x, ind + 2, ': ')}"
            return (" " if after == "- " else "\n" if after else "") + out
        deep = ind if after != "- " else ind
        for x in v:
            out += " " * max(deep - (2 if after == ": " and ind >= 2 and len(v) % 2 else 0), 0) + "-" + \
                block(r, x, deep + (0 if after == ": " and len(v) % 2 else 2), "- ")
        return "\n" + out if after else out
    if isinstance(v, Raw) and "\n" in v:
        head, _, rest = v.partition("\n")
        return f" {head}\n" + "".join(f"{pad}{x.strip()}\n" for x in rest.splitlines())
    if isinstance(v, str) and not isinstance(v, Raw) and "\n" in v and r.random() < 0.7 and not v.startswith((" ", "\n")):
        style = "|" if v.endswith("\n") else "|-"
        return f" {style}\n" + "".join(f"{pad}{x}\n" if x else "\n" for x in v.splitlines())
    text = v if isinstance(v, Raw) else flow(r, v)
    tail = "   # why" if r.random() < 0.03 and not text.startswith(("|", ">")) else ""
    return f" {text}{tail}\n" if text else f"{tail}\n"


def document(r, v):
    return block(r, v, 0, "") if v and isinstance(v, (dict, list)) else flow(r, v) + "\n"


class Write(Step):
    """A file with a text."""

    def __init__(self, path, text):
        self.path, self.text = path, text
        d = path.rpartition("/")[0]
        super().__init__((f"mkdir -p {shlex.quote(d)}; " if d else "") +
                         f"printf %s {shlex.quote(text)} > {shlex.quote(path)}")

    def shorter(self):
        """The text without some of its lines: a line goes with those that are deeper below it."""
        lines = self.text.splitlines(True)
        spans = set()
        for i, x in enumerate(lines):
            depth = len(x) - len(x.lstrip())
            j = i + 1
            while j < len(lines) and (not lines[j].strip() or len(lines[j]) - len(lines[j].lstrip()) > depth):
                j += 1
            spans |= {(i, j), (i, i + 1)}
        for i, j in sorted(spans, key=lambda x: x[0] - x[1]):
            yield Write(self.path, "".join(lines[:i] + lines[j:]))


class Gen:
    def __init__(self, seed, topic):
        self.r = random.Random(f"{seed} {topic}")
        self.topic, self.steps = topic, []
        self.dirs = ["."] + [d for d in ("sub", "sub/deep", "other") if self.some(0.15)]
        self.docs, self.stages, self.outs, self.files = {}, {}, [], []
        self.params, self.revs, self.made, self.n = {}, ["HEAD"], 0, 0

    def some(self, p):
        return self.r.random() < p

    def pick(self, seq):
        return self.r.choice(list(seq))

    def few(self, seq, most):
        seq = list(seq)
        return self.r.sample(seq, min(len(seq), self.r.randint(0, most)))

    def sh(self, line):
        self.steps.append(Step(line))

    def dvc(self, *argv, cwd="."):
        self.steps.append(Step(argv=[a for a in argv if a is not None], cwd=cwd))

    def write(self, path, text):
        self.steps.append(Write(path, text))

    # Values and parameter files.
    def value(self, depth=2):
        x = self.r.random()
        if x < 0.35:
            return Raw(self.pick(ODD))
        if x < 0.5:
            return self.r.randint(-3, 30)
        if x < 0.6:
            return self.pick([0.5, 0.25, 0.1234567, 1e-7, 2.0, 1e20, 33.333333, 100.0])
        if x < 0.7:
            return self.pick(["adam", "x y", "it's", "a/b", "two words", "q\"t", "$HOME", "é", "a,b", "*", "--x", "${lr}"])
        if x < 0.75:
            return self.pick([True, False, None])
        if depth and x < 0.88:
            return {k: self.value(depth - 1) for k in self.few(KEYS, 4)}
        if depth:
            return [self.value(depth - 1) for _ in range(self.r.randint(0, 3))]
        return "deep"

    def plain(self, depth=2):
        """A value for JSON, TOML and Python."""
        v = self.value(depth)
        if isinstance(v, Raw):
            return self.pick([1, 2.5, "s", True, 1e-05, 1e100, "é\n", -0.0, 10**20])
        if isinstance(v, dict):
            return {k: self.plain(depth - 1) for k in v if "." not in k}
        if isinstance(v, list):
            return [self.plain(0) for _ in v]
        return v

    def tree(self, most=6, yaml=True):
        keys = self.few(KEYS, most) or ["lr"]
        return {k: (self.value() if yaml else self.plain()) for k in keys}

    @staticmethod
    def toml(v, path=""):
        def one(x):
            if isinstance(x, bool):
                return "true" if x else "false"
            if isinstance(x, float):
                return repr(x)
            if isinstance(x, int):
                return str(x) if abs(x) < 2**63 else "7"
            if isinstance(x, str):
                return json.dumps(x)
            if isinstance(x, list):
                return "[" + ", ".join(one(y) for y in x if y is not None) + "]"
            if isinstance(x, dict):
                return "{" + ", ".join(f"{json.dumps(k)} = {one(y)}" for k, y in x.items() if y is not None) + "}"
            return '""'
        out, tables = "", ""
        for k, x in v.items():
            key = k if re.fullmatch(r"[A-Za-z0-9_-]+", k) else json.dumps(k)
            if isinstance(x, dict):
                name = f"{path}.{key}" if path else key
                tables += f"[{name}]\n" + Gen.toml(x, name)
            elif x is not None:
                out += f"{key} = {one(x)}\n"
        return out + tables

    def python(self, v):
        out = "import os\n\n# settings\n" if self.some(0.5) else ""
        for k, x in v.items():
            if not k.isidentifier():
                k = "K" + str(len(out))
            if isinstance(x, dict) and self.some(0.5):
                body = "".join(f"    {a} = {b!r}\n" for a, b in x.items() if a.isidentifier()) or "    pass\n"
                out += f"\nclass {k}:\n{body}"
                if self.some(0.3):
                    out += "    def __init__(self):\n        self.q = 3\n        self.lr = 0.5\n"
                out += "\n"
            else:
                out += f"{k}{': int' if self.some(0.2) else ''} = {x!r}\n"
        return out

    def put_params(self, path, tree=None):
        ext = path.rpartition(".")[2]
        tree = tree if tree is not None else self.tree(yaml=ext == "yaml")
        self.params[path] = tree
        if ext == "json":
            text = json.dumps(tree, indent=self.pick([None, 2, 4]), ensure_ascii=self.some(0.5)) + self.pick(["", "\n"])
        elif ext == "toml":
            text = self.toml(tree)
        elif ext == "py":
            text = self.python(tree)
        else:
            text = document(self.r, tree)
        self.write(path, text)

    def key_of(self, tree):
        """A dotted key, most often one that exists."""
        path = []
        while isinstance(tree, dict) and tree and (not path or self.some(0.6)):
            k = self.pick(tree)
            path.append(k)
            tree = tree[k]
        if isinstance(tree, list) and tree and self.some(0.3):
            path.append(str(self.r.randrange(len(tree))))
        if self.some(0.04):
            path.append(self.pick(["nope", "0", "*", "", "a b"]))
        return ".".join(path) or "lr"

    def join(self, d, name):
        return name if d == "." else f"{d}/{name}"

    # dvc.yaml.
    def flags(self, kind):
        out = {}
        for k, p, v in (("cache", 0.25, [True, False, False]), ("persist", 0.12, [True, False]), ("push", 0.08, [True, False]),
                        ("desc", 0.08, ["about it", "two\nlines\n", "é"]), ("type", 0.05, ["model"]),
                        ("labels", 0.05, [["a", "b"], []]), ("meta", 0.05, [{"k": 1}, "m", [1, 2]]),
                        ("remote", 0.04, ["st", "none"]), ("checkpoint", 0.01, [True])):
            if self.some(p):
                out[k] = self.pick(v)
        if kind == "plots":
            for k, v in (("x", ["a"]), ("y", ["b"]), ("title", ["T t"]), ("template", ["linear"]), ("header", [True, False]),
                         ("x_label", ["X"]), ("y_label", ["Y"])):
                if self.some(0.15):
                    out[k] = self.pick(v)
        keys = list(out)
        self.r.shuffle(keys)
        return {k: out[k] for k in keys}

    def make(self, out, kind, deps):
        """Shell text that makes an output."""
        r = self.r
        src = [d for d in deps if not d.endswith("/")]
        if kind == "dir":
            return f"mkdir -p {out}; echo {r.randint(1, 3)} > {out}/a" + (f"; cp -r {src[0]} {out}/b" if src and self.some(.5) else "")
        if kind == "metrics":
            return self.pick([f"echo '{{\"acc\": {r.choice([0.5, 0.123456789, 1, 1e-7])}, \"n\": {{\"f1\": {r.randint(1, 9)}}}}}' > {out}",
                              f"echo acc {r.randint(1, 4)} | tr ' ' ':' | sed 's/:/: /' > {out}", f"cp mi.json {out}"])
        if kind == "plots":
            return f"printf 'a,b\\n1,{r.randint(1, 3)}\\n' > {out}"
        if src and self.some(0.7):
            return f"cat {' '.join(src)} > {out}" if self.some(0.8) else f"cp -r {src[0]} {out}"
        return f"echo {r.choice(['x', 'y', 'hello world', 'é', '$DVC_STAGE', '$((1+2))'])} > {out}"

    def stage(self, d, name):
        r = self.r
        wdir = self.pick(["w", "w/v", ".", ".."]) if self.some(0.1) else None
        up = {"w": "../", "w/v": "../../", "..": None}.get(wdir, "")
        near = "" if wdir in (None, ".") else up or ""
        deps = []
        for _ in range(self.pick([0, 1, 1, 2, 3])):
            x = self.r.random()
            if self.outs and x < 0.55:
                home, o = self.pick(self.outs[-6:])
                if home == d:
                    deps.append(near + o)
                elif d == ".":
                    deps.append(near + self.join(home, o))
                elif home == ".":
                    deps.append(near + "../" * (d.count("/") + 1) + o)
            elif x < 0.95:
                deps.append(near + self.pick(["i", "j", "mi.json", "data", "data/f", "sp ace"] if up is not None else ["i"]))
            else:
                deps.append(self.pick(["nope", "i", "./i", "data/", "../ext"]))
        deps = [x for x in dict.fromkeys(deps) if " " not in x or self.some(0.3)]
        if not near and self.some(0.1):         # what several stages put into one directory
            deps.append(self.pick(["art", "art/", "art/sub"]))
        deps = list(dict.fromkeys(deps))
        doc, parts = {}, []
        shared = self.pick(["art", "art", "art/sub"]) if self.some(0.3) else None
        if shared:
            parts.append(f"mkdir -p {shared}")
        outs = {"outs": [], "metrics": [], "plots": []}
        for _ in range(self.pick([0, 1, 1, 1, 2, 3])):
            kind = self.pick(["outs", "outs", "outs", "metrics", "plots"])
            self.n += 1
            o = f"{name.replace('@', '')}{self.n}" + {"outs": self.pick(["", ".txt", ".csv", ".o"]), "metrics": self.pick([".json", ".yaml"]),
                                                      "plots": ".csv"}[kind]
            what = kind
            if kind == "outs" and self.some(0.25):
                what = "dir"
                if self.some(0.2):
                    o = f"deep/{o}"
            elif shared and self.some(0.6):
                o = f"{shared}/{o}"
            parts.append(self.make(o, what, [shlex.quote(x) for x in deps]))
            fl = self.flags(kind) if self.some(0.4) else {}
            outs[kind].append({o: fl} if fl or self.some(0.03) else o + ("/" if what == "dir" and self.some(0.1) else ""))
            if not near and up is not None:
                self.outs.append((d, o))
        if not parts or self.some(0.1):
            parts.append(self.pick(["echo hi", "true", "echo err >&2", "env | grep DVC_STAGE", "pwd | grep -o '[a-z]*$'"]))
        if self.some(0.05):
            parts.append(self.pick(["exit 3", "false", "kill -9 $$", "nosuchcommand", "(exit 255)"]))
        x = self.r.random()
        cmd = parts if x < 0.25 else (" && " if x < 0.6 else "; ").join(parts)
        if x > 0.92:
            cmd = "\n".join(parts) + ("\n" if self.some(0.5) else "")
        doc["cmd"] = cmd
        if deps:
            doc["deps"] = deps
        if wdir:
            doc["wdir"] = wdir
        ps = self.stage_params(d)
        if ps:
            doc["params"] = ps
        for k, v in outs.items():
            if v:
                doc[k] = v
        for k, p, v in (("frozen", 0.05, [True, False]), ("always_changed", 0.05, [True, False]), ("desc", 0.1, ["what it does", "é\nx", "d" * 90]),
                        ("meta", 0.06, [{"a": [1]}, "text", 3, None])):
            if self.some(p):
                doc[k] = self.pick(v)
        keys = list(doc)
        if self.some(0.3):
            r.shuffle(keys)
        return {k: doc[k] for k in keys}

    def stage_params(self, d):
        out = []
        for path in self.few([p for p in self.params if (p.rpartition("/")[0] or ".") == d], 2):
            base, tree = path.rpartition("/")[2], self.params[path]
            keys = [self.key_of(tree) for _ in range(self.r.randint(1, 3))]
            if base == "params.yaml" and self.some(0.8):
                out += keys
            else:
                out.append({base: self.pick([keys, keys, keys, None, []])})
        return out

    def template(self, doc, d):
        """Some strings of a stage get expressions."""
        names = [self.key_of(t) for p, t in self.params.items() if (p.rpartition("/")[0] or ".") == d] or ["lr"]

        def expr():
            k = self.pick(names) if self.some(0.85) else self.pick(["item", "key", "item.a", "nope", "d", "l[0]", "l[-1]", " lr ", "lr.", "", "a[", "a b",
                                                                   "d.a.b", "l.x", "v", "vv.x", "item[0]", "a]b", "x..y", "[a]", "a[b].c", "l[5]"])
            if self.some(0.15):
                k = re.sub(r"\.(\w+)", r"[\1]", k)
            return ("\\" if self.some(0.04) else "") + "${" + k + "}"

        def walk(v, key=None):
            if isinstance(v, str) and not isinstance(v, Raw) and self.some(0.35):
                if key == "cmd":
                    return f"{v}; echo {expr()}" + (f" x{expr()}" if self.some(0.3) else "")
                return expr() if self.some(0.2) else f"{v}{expr()}" if self.some(0.7) else f"{expr()}{v}"
            if isinstance(v, list):
                return [walk(x, key) for x in v]
            if isinstance(v, dict):
                return {(walk(k) if self.some(0.3) else k): walk(x, k) for k, x in v.items()}
            return v
        keep = {"frozen", "always_changed"}
        return {k: (v if k in keep else walk(v, k)) for k, v in doc.items()}

    def group(self, name, body, d):
        x = self.r.random()
        def items():
            return self.pick([["a", "b"], [1, 2.5, True], [{"a": 1}, {"a": 2}], ["x", [1]], [], ["a", "a"], ["x/y", "a b"], "${l}", "${d}", "${nope}",
                              [None, "", 0], ["${lr}", "q"], {"k1": 1, "k2": {"a": 2}}, {1: 2}, {"a": None}, "${l[0]}", 3 if self.some(.2) else ["z"]])
        outs = {k: [re.sub(r"^(\w+)", r"\1-${item}", o) if isinstance(o, str) else o for o in v] for k, v in body.items()
                if k in ("outs", "metrics", "plots")}
        body = {**body, **(outs if self.some(0.7) else {})}
        if isinstance(body["cmd"], str):
            for v in outs.values():
                for o in v:
                    if isinstance(o, str):
                        body["cmd"] = body["cmd"].replace(o.replace("-${item}", ""), o)
            if self.some(0.5):
                body["cmd"] += "; echo " + self.pick(["${item}", "${key}", "${item.a}", "${item.x} ${item.y}"])
        if x < 0.6:
            return {"foreach": items(), "do": body}
        axes = {"x": items(), "y": self.pick([["p", "q"], [1, {"a": 1}], "${l}"])} if self.some(0.7) else {"x": items()}
        axes = {k: v for k, v in axes.items() if not isinstance(v, dict) or self.some(0.1)}
        text = json.dumps(body).replace("${item}", "${item.x}")
        return {"matrix": axes, **json.loads(text)}

    NAMES = ["prep", "feat", "train", "eval", "a-b", "x_1", "st.dot", "ünï", "1", "B", "long-name-of-a-stage", "split", "merge", "zz"]

    def dvcyaml(self, d, most=5):
        doc = {}
        names = self.few(self.NAMES, most) or ["one"]
        stages = {}
        for n in names:
            st = self.stage(d, n)
            if self.topic == "template" and self.some(0.7):
                st = self.template(st, d)
            if self.some(0.35 if self.topic == "template" else 0.08):
                st = self.group(n, st, d)
            if self.topic == "template" and self.some(0.15) and "do" not in st:
                st["vars"] = self.vars(d)
            stages[n] = st
        if self.some(0.35 if self.topic == "template" else 0.05):
            doc["vars"] = self.vars(d)
        doc["stages"] = stages
        files = [p.rpartition("/")[2] for p in self.params if (p.rpartition("/")[0] or ".") == d]
        if self.some(0.12):
            doc["params"] = self.few(files + ["nope.yaml"], 2)
        if self.some(0.15):
            doc["metrics"] = self.few(files + ["mi.json", "nope.json", "data"], 2)
        if self.some(0.12):
            doc["plots"] = self.few(["p.csv", "data", {"p.csv": {"x": "a", "y": "b"}}, {"own": {"x": "a", "y": {"p.csv": "b"}}}, {"n.csv": None}], 2)
        if self.some(0.1):
            doc["artifacts"] = {self.pick(["mod", "my-art", "b_1"]): {"path": self.pick(["i", "nope", "data"]), **self.pick([{}, {"type": "model", "labels": ["x"]}, {"desc": "d", "meta": {"a": 1}}])}}
        keys = list(doc)
        if self.some(0.2):
            self.r.shuffle(keys)
        self.stages[d] = names
        return {k: doc[k] for k in keys}

    def vars(self, d):
        out = []
        for p in self.few([p for p in self.params if (p.rpartition("/")[0] or ".") == d], 2):
            base, tree = p.rpartition("/")[2], self.params[p]
            out.append(base + self.pick(["", "", ":" + self.pick(list(tree) or ["q"]), ":" + ",".join(list(tree)[:2]), ":nope"]))
        if self.some(0.6):
            out.append({self.pick(["v", "vv", "lr", "d"]): self.pick([1, "s", {"x": 1, "y": [1, 2]}, [1, "two"], None, True, "${lr}"])})
        if self.some(0.1):
            out.append(self.pick(["nope.yaml", "data", "i", {"item": 1}, 3]))
        self.r.shuffle(out)
        return out

    def damage(self, text):
        """The text with an error of some kind."""
        r, lines = self.r, text.splitlines(True)
        for _ in range(self.pick([1, 1, 2])):
            i = r.randrange(len(lines)) if lines else 0
            line = lines[i] if lines else ""
            x = r.randrange(16)
            if x == 0:
                lines[i:i + 1] = []
            elif x == 1:
                lines.insert(i, line)
            elif x == 2:
                lines[i:i + 1] = [" " + line]
            elif x == 3:
                lines[i:i + 1] = [line.replace("  ", "\t", 1) if "  " in line else "\t" + line]
            elif x == 4:
                lines[i:i + 1] = [line.replace(":", "", 1)]
            elif x == 5 and line:
                j = r.randrange(len(line))
                lines[i:i + 1] = [line[:j] + self.pick(list("\"'[]{}:,&*!|>%@`#-?\\\x01\x7f\u2028é~=") + ["${", "${}", "\ufeff", "\r", ": ", " #"]) + line[j:]]
            elif x == 6:
                lines[i:i + 1] = [re.sub(r":.*", lambda m: ": " + self.pick(ODD + ["x", "1", "[a]", "{a: b}"]).replace("\n", " "), line, count=1)]
            elif x == 7:
                lines.insert(i, re.match(r" *", line)[0] + self.pick(["nope: 1\n", "cmd: again\n", "- stray\n", "deps: x\n", "outs:\n", "wdir: 3\n", "frozen: maybe\n", "key\n", "? q\n", "<<: *a\n", "--- \n", "...\n", "%YAML 1.1\n", "foreach: [a]\n", "do: {}\n", "vars: x\n", "matrix: {a: [1]}\n", "params: {a: b}\n", "outs: [1]\n", "? [a, b]\n: c\n", "!!python/object:x y: 1\n"]))
            elif x == 8:
                lines[i:] = []
            elif x == 9:
                lines[i:i + 1] = [re.sub(r"(\w+):", lambda m: self.pick(["nope", "cmds", "stage", "1", "''", "a@b", "a/b", "cmd", "outs"]) + ":", line, count=1)]
            elif x == 10:
                return self.pick(["", "\n", "# only\n", "null\n", "[]\n", "x\n", "- a\n", "{}\n", "---\n", "stages:\n", "stages: []\n", "stages: x\n", "1: 2\n", "stages: {a: }\n", "stages: {a: []}\n", "stages: {1: {cmd: x}}\n", "stages: {a: {cmd: x}}\nstages: {b: {cmd: x}}\n", "'\n", "stages: {a: {cmd: 1}}\n", "vars: {a: 1}\n", "datasets: 1\n", "artifacts: {}\n"])
            elif x == 11:
                lines[i:i + 1] = [line.replace(self.pick(["deps", "outs", "cmd", "stages", "params"]), self.pick(["depz", "Outs", "desc", "meta", "vars"]))]
            elif x == 12:
                k = r.randrange(len(lines)) if lines else 0
                if lines:
                    lines[i], lines[k] = lines[k], lines[i]
            elif x == 13:
                lines[i:i + 1] = [line.rstrip("\n") + self.pick(["  ", " #c", "\r", ",", ":", "]", "}", "'", '"', " x", "\\"]) + "\n"]
            elif x == 14:
                lines[i:i + 1] = [line[2:] if line.startswith("  ") else line]
            else:
                lines[i:i + 1] = [re.sub(r"(- |: )(.*)", lambda m: m[1] + self.pick(["&a ", "*a ", "!!int ", "!!map ", "!t ", "| ", "> ", "''", "null "]) + m[2], line, count=1)]
        return "".join(lines)

    # Command lines.
    def target(self):
        names = [self.join(d, "dvc.yaml:" + n) if d != "." else self.pick([n, n, n, "dvc.yaml:" + n]) for d, ns in self.stages.items() for n in ns]
        outs = [self.join(d, o) for d, o in self.outs]
        x = self.r.random()
        if names and x < 0.55:
            t = self.pick(names)
            return t + (self.pick(["@a", "@0", "@1", "@k1", "@p-1", "@nope", "@"]) if self.some(0.1) else "")
        if outs and x < 0.75:
            return self.pick(outs)
        if x < 0.9:
            return self.pick(["dvc.yaml", "data.dvc", "data", "i", "sub/dvc.yaml", "sub"])
        return self.pick(["nope", ".", "nope.dvc", "nope/dvc.yaml", "dvc.lock", "dvc.yaml:nope", "dvc.yaml:", ":prep", "prep@a", "*", "params.yaml",
                          "a/b:c", "@", "data/f", ""])

    def targets(self, none=0.4, most=2):
        return [] if self.some(none) else [self.target() for _ in range(self.r.randint(1, most))]

    def opts(self, table, p=0.2):
        out = []
        for o in table:
            if self.some(p):
                out += [x() if callable(x) else x for x in o] if isinstance(o, tuple) else [o]
        return out

    def rev(self):
        return self.pick(self.revs + (["nope"] if self.some(0.05) else []) + (["HEAD~1", "HEAD"] if self.made > 1 else []))

    def cwd(self):
        return self.pick(self.dirs) if self.some(0.15) else "."

    def command(self):
        """One random command line of the tool."""
        w = dict(COMMANDS[self.topic])
        name = self.r.choices(list(w), list(w.values()))[0]
        getattr(self, "c_" + name)()

    def c_repro(self):
        o = self.opts(["-f", "-s", "-i" if self.some(0.1) else "--dry", "-p", "-P", ("-R",), "-k", "--downstream", "--force-downstream", "--pull",
                       "--dry", "--allow-missing", "--no-run-cache", "--no-commit", "--glob", "--ignore-errors"], 0.06)
        o = [x for x in o if x != "-i"]
        self.dvc("repro", *o, *self.targets(0.6), cwd=self.cwd())

    def c_status(self):
        self.dvc("status", *self.opts(["--json", "-R", "-d", "-q", ("-r", "st"), "-c", "--no-updates"], 0.1), *self.targets(0.65), cwd=self.cwd())

    def c_data_status(self):
        self.dvc("data", "status", *self.opts(["--json", "--granular", "--unchanged"], 0.3))

    def c_dag(self):
        self.dvc("dag", *self.opts(["--dot", "--mermaid", "--md", "-o", "--full", "--collapse-foreach-matrix"], 0.25), *self.targets(0.6, 1), cwd=self.cwd())

    def c_stage_list(self):
        self.dvc("stage", "list", *self.opts(["--all", "-R", "--name-only", "--fail"], 0.3), *self.targets(0.7), cwd=self.cwd())

    def c_stage_add(self):
        name = self.pick(self.NAMES + ["new", "new2", "bad/name", "bad name", "a@b", "", "-", "n", "new"])
        o = []
        files = ["i", "j", "data", "data/f", "n1.txt", "n2", "od", "sub/x", "mi.json", "nope", "sub", ".", "..", "/abs", "i", "é", "dvc.yaml", "o/"] + [x for _, x in self.outs[-3:]]
        for flag, p in (("-d", 0.5), ("-o", 0.5), ("-O", 0.15), ("-m", 0.15), ("-M", 0.15), ("--plots", 0.1), ("--plots-no-cache", 0.1),
                        ("--outs-persist", 0.1), ("--outs-persist-no-cache", 0.1)):
            while self.some(p):
                o += [flag, self.pick(files)]
                p /= 2
        if self.some(0.4):
            o += ["-p", self.pick(["lr", "lr,n", "p.json:a,b", "p.toml:", "params.yaml:lr", "lr,p.json:x", "nope.yaml:a", ":x", "a:b:c", "x,,y", ",", "params.yaml:", "q.py:A", "d.a,l", "p.json:"])]
        if self.some(0.2):
            o += ["-p", self.pick(["n", "a", "p.json:c", "params.yaml:a", "p.toml:b"])]
        if self.some(0.1):
            o += ["-w", self.pick(["w", "sub", "nope", "..", ".", "i", "/"])]
        o += self.opts(["--always-changed", ("--desc", lambda: self.pick(["some text", "a: b", "", "two\nlines"])), "-f", "-f", "--run"], 0.12)
        self.r.shuffle  # noqa: B018
        cmd = self.pick([["echo hi"], ["echo", "hi there"], ["echo", ""], ["cp i n1.txt"], ["echo", "a", ">", "n2"], ["echo ${lr}"], [], ["python", "-c", 'print("x y")'],
                         ["mkdir -p od && echo 1 > od/x && echo 2 > n1.txt && echo 3 > n2"], ["echo 'a: b' # c"], ["echo", "${nope}"], ["false"], ["two\nlines"], ["--", "echo", "x"]])
        self.dvc("stage", "add", "-n", name, *o, *cmd, cwd=self.cwd())
        self.stages.setdefault(".", []).append(name)

    def c_freeze(self):
        self.dvc(self.pick(["freeze", "freeze", "unfreeze"]), *(self.targets(0, 2)), cwd=self.cwd())

    def c_commit(self):
        self.dvc("commit", *self.opts(["-f", "-d", "-R", "-q"], 0.3), *([] if self.some(0.1) else ["-f"]), *self.targets(0.5), cwd=self.cwd())

    def c_checkout(self):
        self.dvc("checkout", *self.opts(["-f", "--summary", "-R", "-d", "--relink", "--allow-missing"], 0.2), *self.targets(0.6))

    def c_remove(self):
        self.dvc("remove", *self.opts(["--outs"], 0.4), *self.targets(0, 2), cwd=self.cwd())

    def c_move(self):
        self.dvc("move", self.pick(["data.dvc", "data", self.target()]), self.pick(["moved", "sub/moved", "data", "i2"]))

    def c_gc(self):
        self.dvc("gc", *self.opts(["-w", "-a", "-T", "-A", "--dry", "-c", "--not-in-remote", "-n" if self.some(.1) else "-w"], 0.25), "-w", "-f")

    def c_push(self):
        self.dvc(self.pick(["push", "pull", "fetch", "push"]), *self.opts(["--run-cache", "-q", "-R", "-d", "-a", "--glob", "--no-run-cache"], 0.15), *self.targets(0.7))

    def c_params_diff(self):
        self.dvc("params", "diff", *self.opts(["--all", "--deps", "--json", "--md", "--no-path"], 0.25),
                 *(["--targets", self.pick(list(self.params) + ["nope.yaml", "mi.json", "data", "i"])] + (["--"] if self.some(.5) else []) if self.some(0.15) else []),
                 *([self.rev()] if self.some(0.3) else []), *([self.rev()] if self.some(0.1) else []), cwd=self.cwd())

    def c_metrics_show(self):
        fs = [x for x in [*self.params, "mi.json", "data", "nope.json", ".", "i", *[self.join(d, o) for d, o in self.outs]]]
        self.dvc("metrics", "show", *self.opts(["--json", "--md", "-a", "-T", "-A", "-R", ("--precision", lambda: self.pick(["0", "1", "3", "8", "-1", "x"]))], 0.2),
                 *([] if self.some(0.6) else [self.pick(fs) for _ in range(self.r.randint(1, 2))]), cwd=self.cwd())

    def c_metrics_diff(self):
        fs = [x for x in [*self.params, "mi.json", "data", "nope.json", "i", *[self.join(d, o) for d, o in self.outs]]]
        self.dvc("metrics", "diff", *self.opts(["--json", "--md", "--all", "--no-path", "-R", ("--precision", lambda: self.pick(["0", "1", "3", "8"]))], 0.2),
                 *(["--targets", self.pick(fs)] + (["--"] if self.some(.5) else []) if self.some(0.2) else []),
                 *([self.rev()] if self.some(0.35) else []), *([self.rev()] if self.some(0.15) else []), cwd=self.cwd())

    def c_diff(self):
        self.dvc("diff", *self.opts(["--json", "--md", "--hide-missing", "--show-hash"], 0.2), *([self.rev()] if self.some(0.4) else []))

    def c_add(self):
        self.dvc("add", self.pick(["data", "i", "j"] + [self.join(d, o) for d, o in self.outs[-2:]]))

    # What happens between.
    def change(self):
        x = self.r.random()
        if x < 0.25:
            self.sh(f"echo {self.r.randint(1, 4)} > {self.pick(['i', 'j', 'data/f', 'data/g'])}")
        elif x < 0.35:
            self.write("mi.json", json.dumps(self.metrics()))
        elif x < 0.5 and self.params:
            p = self.pick(self.params)
            tree = dict(self.params[p])
            if tree and self.some(0.7):
                k = self.pick(tree)
                tree[k] = self.value() if p.endswith("yaml") else self.plain()
                if self.some(0.3):
                    tree.pop(self.pick(tree))
            else:
                tree = None
            self.put_params(p, tree)
        elif x < 0.65 and self.outs:
            d, o = self.pick(self.outs)
            p = shlex.quote(self.join(d, o))
            self.sh(self.pick([f"rm -rf {p}", f"rm -rf {p}; echo changed > {p}", f"mkdir -p {p} 2>/dev/null; rm -f {p}/a; echo 1 > {p}/new"]))
        elif x < 0.7:
            self.sh(self.pick(["rm -f dvc.lock", "rm -rf .dvc/cache/files", "rm -rf .dvc/cache/runs", "rm -f i", "rm -rf data", "rm -f params.yaml",
                               "rm -f .gitignore", "rm -f dvc.yaml", "git checkout -q . 2>/dev/null", "rm -rf .dvc/cache"]))
        elif x < 0.85 and self.docs:
            d = self.pick(self.docs)
            doc = self.docs[d]
            st = doc.get("stages") or {}
            if st:
                n = self.pick(st)
                y = self.r.random()
                st = dict(st)
                if y < 0.3:
                    st.pop(n)
                elif y < 0.6:
                    st[n] = self.stage(d, n)
                elif "cmd" in st[n]:
                    st[n] = {**st[n], "cmd": self.pick(["true", "echo new", ["true", "true"]])}
            self.docs[d] = {**doc, "stages": st}
            self.write(self.join(d, "dvc.yaml"), document(self.r, self.docs[d]))
        else:
            self.commit()

    def commit(self):
        self.made += 1
        self.sh(f"git add -A; git commit -qm {self.made} || true")
        if self.some(0.3):
            self.sh(f"git tag t{self.made}")
            self.revs.append(f"t{self.made}")
        if self.some(0.15):
            self.sh(f"git branch b{self.made}")
            self.revs.append(f"b{self.made}")
        if self.some(0.05) and len(self.revs) > 1:
            self.sh(f"git checkout -q {self.rev()} 2>/dev/null || true")

    def metrics(self):
        r = self.r
        def v(d):
            x = r.random()
            if x < 0.5 or not d:
                return r.choice([0, 1, 0.5, 0.123456789, 1e-7, 1e20, -3, 100000.123456, 33.3333, True, False, 2, 7, 0.1 + 0.2])
            if x < 0.6:
                return r.choice(["s", "", None, "é", [1, 2], [], {}, "1.5", "two words"])
            return {k: v(d - 1) for k in r.sample(["acc", "f1", "n", "a.b", "1", "loss"], r.randint(1, 3))}
        return {k: v(2) for k in r.sample(["acc", "loss", "f1", "n", "auc", "x y", "é"], r.randint(1, 4))}

    def begin(self):
        self.sh("mkdir -p data sub/deep other; echo 1 > i; echo 2 > j; echo f > data/f; echo sp > 'sp ace'; echo ext > ../ext; printf 'a,b\\n1,2\\n' > p.csv")
        self.write("mi.json", json.dumps(self.metrics()))
        if self.some(0.3):
            self.dvc("add", "-q", "data")
        if self.some(0.3) or self.topic == "remote":
            self.dvc("remote", "add", "-q", "-d", "st", "$TOP/store")
        for d in self.dirs:
            if self.some(0.85):
                tree = self.tree()
                if self.topic == "template":
                    tree = {**tree, "lr": 0.1, "l": self.pick([[1, 2], ["a", "b"], [{"a": 1}]]), "d": self.pick([{"a": 1, "b": "x y"}, {"k": {"a": True, "l": [1, "q r"]}}])}
                self.put_params(self.join(d, "params.yaml"), tree)
            for f in ("p.json", "p.toml", "q.py", "v.yaml"):
                if self.some(0.3):
                    self.put_params(self.join(d, f))
        if self.topic == "add" and self.some(0.5):
            return
        for d in self.dirs:
            if d == "." or self.some(0.8):
                doc = self.dvcyaml(d, {"dag": 9, "broken": 3, "metrics": 3}.get(self.topic, 5))
                self.docs[d] = doc
                text = document(self.r, doc)
                self.write(self.join(d, "dvc.yaml"), text)

    def hurt(self):
        """One of the files that people write is damaged."""
        texts = {}
        for s in self.steps:
            if isinstance(s, Write):
                texts[s.path] = s.text
        path = self.pick([p for p in texts if p.endswith("dvc.yaml")] * 3 + [p for p in texts if not p.endswith("dvc.yaml")])
        self.write(path, self.damage(texts[path]))

    def hurt_lock(self):
        self.sh(self.pick(["sed -i 's/md5: /md5: x/' dvc.lock", "sed -i 2d dvc.lock", "sed -i '$d' dvc.lock", "sed -i 's/size: .*/size: x/' dvc.lock",
                           "sed -i 's/hash: md5/hash: sha/' dvc.lock", "sed -i '/hash: md5/d' dvc.lock", "echo 'x: 1' >> dvc.lock", "echo '  zz: 1' >> dvc.lock",
                           "sed -i 's/cmd: /cmd: echo /' dvc.lock", ": > dvc.lock", "sed -i 's/^  [a-z]*:$/&\\n    nope: 1/' dvc.lock", "echo \"schema: '2.0'\" > dvc.lock",
                           "sed -i '/path:/d' dvc.lock", "sed -i 's/schema.*/schema: 2.0/' dvc.lock", "sed -i 's/params.yaml:/q.yaml:/' dvc.lock",
                           "sed -i '/^    deps/,/^    outs/d' dvc.lock", "echo 'datasets: []' >> dvc.lock", "sed -i 's/md5: \\(.\\).*/md5: \\1/' dvc.lock"]) + " 2>/dev/null || true")

    def all(self, length):
        self.begin()
        if self.some(0.4) or self.topic == "metrics":
            self.commit()
        for _ in range(length):
            x = self.r.random()
            if self.topic == "broken" and x < 0.35:
                self.hurt() if self.some(0.85) else self.hurt_lock()
            elif self.topic == "metrics" and x < 0.4 or x < 0.25:
                self.change()
            else:
                self.command()
        return self.steps


COMMANDS = {
    "repro": dict(repro=8, status=5, data_status=1, stage_list=1, freeze=1, commit=1.5, checkout=1.2, remove=0.8, move=0.3, gc=0.4, push=1, dag=.5, params_diff=.5,
                  metrics_show=.5, metrics_diff=.3, diff=.5, add=.3, stage_add=.5),
    "template": dict(stage_list=3, status=3, repro=3, dag=1, params_diff=2, freeze=.7, remove=.5, metrics_show=.3, stage_add=.5, commit=.4),
    "broken": dict(status=3, repro=3, stage_list=2, dag=1, metrics_show=1, params_diff=1, freeze=.7, remove=.7, stage_add=.7, metrics_diff=.5, commit=.5,
                   checkout=.4, data_status=.5, add=.3, push=.3, gc=.2, diff=.3, move=.2),
    "metrics": dict(metrics_show=4, metrics_diff=4, params_diff=4, repro=1.2, status=.3, stage_list=.2),
    "add": dict(stage_add=8, stage_list=1, remove=1, repro=1.5, status=.7, dag=.5, freeze=.5),
    "dag": dict(dag=8, stage_list=2, repro=1, status=1, freeze=.3, stage_add=1, remove=.5),
    "remote": dict(repro=4, push=5, status=2, checkout=1, gc=1, commit=.7, data_status=1, freeze=.3, remove=.3),
}


def generate(seed, length, topic=None):
    topic = topic or list(COMMANDS)[seed % len(COMMANDS)]
    return Gen(seed, topic).all(length)
