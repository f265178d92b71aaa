"""YAML, JSON and params readers and writers against ruamel.yaml, Python and dpath, on values drawn from fixed seeds.

YAMLTOOL names the driver (default: build/release/tests/tool/yamltool of this checkout, made by `make tools`).
"""
import io
import json
import math
import os
import random
import re
import subprocess
import warnings
from copy import deepcopy
from pathlib import Path

import pytest

import yamlgen as gen

import ruamel.yaml as ruamel_yaml
YAML, YAMLError = ruamel_yaml.YAML, ruamel_yaml.YAMLError

from dvc.utils.collections import apply_diff
from dvc.utils.serialize._py import parse_py
from dvc.utils.serialize._yaml import _get_yaml, dumps_yaml

ROOT = Path(__file__).resolve().parent.parent.parent
TOOL = os.environ.get("YAMLTOOL") or str(ROOT / "build/release/tests/tool/yamltool")
warnings.simplefilter("ignore")


def tool(mode, docs):
    """Runs the driver once over all documents."""
    data = b"".join(d.encode("utf-8", "surrogatepass") + b"\x01" for d in docs)
    p = subprocess.run([TOOL, mode, "many"], input=data, capture_output=True)
    assert p.returncode == 0, p.stderr.decode()[-2000:]
    out = [o.decode("utf-8", "replace") for o in p.stdout.split(b"\x01")[:-1]]
    assert len(out) == len(docs)
    return out


def safe(text):
    try:
        return YAML(typ="safe").load(text)
    except YAMLError:
        return YAMLError


def same(a, b):
    """Equal, with types, order of keys and nan."""
    return repr(a) == repr(b)


def no_zone_names(text):
    """ruamel names its time zones; Python's repr shows that."""
    text = re.sub(r"(timedelta\([^()]*\)), '[^']*'\)", r"\1)", text)
    return text.replace("datetime.timezone.utc", "datetime.timezone(datetime.timedelta(0))")


@pytest.mark.parametrize("seed", range(4))
def test_a_fresh_document_has_the_bytes_of_ruamel(seed):
    """Where ruamel's own text reads back as another value, ours must not."""
    docs = [json.dumps(gen.value(gen.rng(seed * 10000 + i))) for i in range(700)]
    docs = [d for d in docs if "\\u0001" not in d and "\\u0000" not in d]
    for d, got in zip(docs, tool("from-json", docs)):
        value = json.loads(d)
        want = dumps_yaml(value)
        if got != want:
            assert not same(safe(want), value), f"{d}\nwant {want!r}\ngot  {got!r}"
            assert same(safe(got), value), f"{d}\ngot {got!r}"


@pytest.mark.parametrize("seed", range(2))
def test_documents_read_as_ruamel_reads_them(seed):
    docs = [gen.document(gen.rng(seed * 10000 + i), .1) for i in range(600)]
    for d, got in zip(docs, tool("str", docs)):
        want = safe(d)
        if want is YAMLError:
            assert got.startswith("ERROR"), d
        else:
            assert no_zone_names(got) == no_zone_names(str(want)), d


# What libyaml's scanner refuses or accepts otherwise; all of it is exotic.
SCANNER = re.compile(r":[,}\]]|[|>][-+0-9]*#|^%|&[^\s]*[^\w\s-]|\*|&|\.\.\.|\?|<<|\u0085|!!", re.M)


def test_mutated_documents_are_read_or_refused_as_ruamel_does():
    docs = [d for d in (gen.mutated(gen.rng(i)) for i in range(1500)) if not SCANNER.search(d)]
    assert len(docs) > 400
    for d, got in zip(docs, tool("str", docs)):
        try:
            want = no_zone_names(str(YAML(typ="safe").load(d)))
        except Exception:
            want = "ERROR"
        if want == "ERROR":
            assert got.startswith("ERROR"), f"{d}\ngot {got}"
        else:
            assert no_zone_names(got) == want, d


def ruamel_round_trip(text):
    value = YAML(typ="rt").load(text)
    out = io.StringIO()
    _get_yaml().dump(value, out)
    return out.getvalue()


@pytest.mark.parametrize("comments", [0, .15, .3])
def test_a_round_trip_keeps_what_ruamel_keeps(comments):
    docs, want = [], []
    for i in range(700):
        d = gen.document(gen.rng(int(comments * 100) * 10000 + i), comments)
        try:
            w = ruamel_round_trip(d)
        except Exception:       # ruamel fails on it: nothing to compare with
            continue
        docs.append(d)
        want.append(w)
    assert len(docs) > 500
    for d, w, got in zip(docs, want, tool("roundtrip", docs)):
        if got != w:            # only where ruamel's own text would be another document
            assert not same(safe(w), safe(d)), d
            assert same(safe(got), safe(d)), d


def test_applied_changes_touch_what_ruamel_touches():
    """Where ruamel's result does not read back as the value laid over, ours must."""
    docs, want = [], []
    for i in range(1200):
        r = gen.rng(i)
        d = gen.document(r, .15)
        value = safe(d)
        if not isinstance(value, (dict, list)):
            continue
        j = json.dumps(gen.changed(r, value), default=str)
        if "\\u000" in j:
            continue
        try:
            kept = YAML(typ="rt").load(d)
            apply_diff(json.loads(j), kept)
            out = io.StringIO()
            _get_yaml().dump(kept, out)
        except Exception:
            continue
        docs.append(d + "\0" + j)
        want.append(out.getvalue())
    assert len(docs) > 800
    for d, w, got in zip(docs, want, tool("apply", docs)):
        src = json.loads(d.split("\0")[1])
        if got != w:
            assert safe(w) != src, f"{d}\nwant\n{w}\ngot\n{got}"
            assert safe(got) == src, f"{d}\ngot\n{got}"


def test_json_is_pythons():
    docs = [json.dumps(gen.value(gen.rng(i))) for i in range(600)]
    docs = [d for d in docs if "\\u0001" not in d and "\\u0000" not in d]
    for d, got in zip(docs, tool("json", docs)):
        assert got == d


def test_floats_are_pythons_repr():
    r = random.Random(7)
    values = [math.ldexp(r.random(), r.randrange(-1070, 1020)) for _ in range(3000)]
    values += [math.ldexp(1, e) for e in range(-1074, 1024)]
    got = tool("json", ["[" + ", ".join(f"{v:.17e}" for v in values) + "]"])[0]
    assert got == json.dumps(values)


PYTHON = [
    "lr = 0.1\nname = 'a' \"b\"\nt = 1, 2\nbig = 10 ** 3\nneg = -5; pos = +1.5e-3\n",
    "class Train:\n    lr: float = 1e-3\n    layers = [1, (2,), {'k': None}]\n\n    class Inner:\n        x = 0x1f\n"
    "    def __init__(self, a=(1, 2)):\n        self.momentum = 0.9\n        local = 3\n        if a:\n            self.skip = 1\n",
    "def f():\n    x = 1\n\nif True:\n    y = 2\nelse: z = 3\nw = 4\n", "a = b = 1\nc, d = 1, 2\ne[0] = 1\nf.g = 2\nself.h = 3\n",
    "x = {1: 'a', 'b': [True, False, None], (1, 2): 3}\ns = set()\nu = {3, 1, 2}\n", "x: int\ny: int = 3\nz = lambda: 0\n",
    "'''doc\nstring'''\nx = '''a\nb'''\nr = r'\\d'\ne = '\\x41\\u00e9\\n\\q'\n", "x = (\n  1,  # c\n  2\n)\ny = \\\n  3\n",
    "x = f'{1}'\ny = b'x'\nz = 1j\nw = ...\n", "@dec\nclass A(B, metaclass=C): v = 1\nasync def g(): pass\n",
    "x = 1 if y else 2\nz = [i for i in range(3)]\nmatch = 1\nmatch x:\n    case 1:\n        q = 1\n", "import a.b as c\nfrom ...d import *\nx = 007\n",
    "print 'python 2'\n", "x =\n", "x = (1\n", "  x = 1\n", "if x:\ny = 1\n", "x = 'a\n", "x = 1\n  y = 2\n", "x = 1_000\ny = 1__0\n", "",
]


def test_python_parameters_are_those_that_dvc_finds():
    for text, got in zip(PYTHON, tool("py", PYTHON)):
        try:
            want = {k: v for k, v in parse_py(text, "p.py").items() if not isinstance(v, (bytes, complex, type(...)))}
        except Exception:
            assert got.startswith("ERROR"), text
            continue
        assert got == str(want), text


def random_tree(r, depth=3):
    k = r.random()
    if depth == 0 or k < .3:
        return r.choice([1, 2.5, "x", True, None, "a b", [], {}])
    if k < .55:
        return [random_tree(r, depth - 1) for _ in range(r.randrange(4))]
    return {r.choice(["a", "b", "ab", "c.d", "0", "1", "x1"]): random_tree(r, depth - 1) for _ in range(r.randrange(1, 5))}


def random_key(r):
    parts = ["a", "b", "ab", "0", "1", "-1", "*", "?", "a*", "[ab]", "[!a]", "**", "x1", "c", "d", "2", "+0", "", "[a"]
    return ".".join(r.choice(parts) for _ in range(r.choice([1, 1, 2, 2, 3])))


def test_keys_find_what_dpath_finds():
    import dpath

    docs, want = [], []
    for i in range(2500):
        r = gen.rng(i)
        tree, key = {"t": random_tree(r), "a": random_tree(r)}, random_key(r)
        if key.count("**") > 1:
            continue
        try:
            want.append(json.dumps(dpath.get(tree, key, separator=".")))
        except KeyError:
            want.append("none")
        except ValueError:
            want.append("ERROR")
        docs.append(json.dumps(tree) + "\0" + key)
    for d, w, got in zip(docs, want, tool("lookup", docs)):
        assert got == w or (w == "ERROR" and got.startswith("ERROR")), d


def test_selections_are_dpaths():
    import dpath

    docs, want = [], []
    for i in range(1500):
        r = gen.rng(i)
        tree, keys = {"t": random_tree(r), "a": random_tree(r)}, [random_key(r) for _ in range(r.randrange(1, 4))]
        if any(k.count("**") > 1 or not k for k in keys):
            continue
        out = {}
        try:
            for k in dict.fromkeys(keys):
                dpath.merge(out, deepcopy(dpath.search(tree, k, separator=".")), separator=".")
        except Exception:
            continue
        docs.append(json.dumps(tree) + "\0" + "\0".join(keys))
        want.append(json.dumps(out))
    for d, w, got in zip(docs, want, tool("select", docs)):
        assert got == w, d
