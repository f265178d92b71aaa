"""The TOML 1.0 cases of the toml-test suite (tests/data/toml-test.json, texts as Latin-1 of their bytes)."""
import datetime
import json
import math
import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TOOL = os.environ.get("YAMLTOOL") or str(ROOT / "build/release/tests/tool/yamltool")
SUITE = json.loads((ROOT / "tests/data/toml-test.json").read_text())


def read(text):
    return subprocess.run([TOOL, "toml-json"], input=text.encode("latin-1"), capture_output=True)


def when(kind, text):
    """Python's str() of a TOML date or time."""
    text = text.replace("t", "T").replace("z", "Z").replace(" ", "T")
    m = re.match(r"(.*?)(\.\d+)?(Z|[+-]\d\d:\d\d)?$", text if kind != "date-local" else text + "")
    base, fraction, zone = m.groups()
    if kind == "date-local":
        return text
    base += "." + fraction[1:].ljust(6, "0")[:6] if fraction else ""
    if kind == "time-local":
        return str(datetime.time.fromisoformat(base))
    return str(datetime.datetime.fromisoformat(base + (zone or "").replace("Z", "+00:00")))


def expected(x):
    if isinstance(x, list):
        return [expected(v) for v in x]
    if set(x) != {"type", "value"} or not isinstance(x["value"], str):
        return {k: expected(v) for k, v in x.items()}
    kind, text = x["type"], x["value"]
    if kind == "float":
        return "NAN" if "nan" in text else float(text)
    return {"integer": int, "bool": lambda v: v == "true", "string": str}.get(kind, lambda v: when(kind, v))(text)


def plain(x):
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, list):
        return [plain(v) for v in x]
    return "NAN" if isinstance(x, float) and math.isnan(x) else x


def test_valid_texts_give_their_values():
    assert len(SUITE["valid"]) > 150
    for name, (text, want) in SUITE["valid"].items():
        p = read(text)
        assert p.returncode == 0, f"{name}: {p.stdout.decode()}"
        assert plain(json.loads(p.stdout)) == expected(want), name


# What TOML 1.1 has allowed since, and the reference tool's parser reads.
LATER = {"datetime/no-secs", "local-datetime/no-secs", "local-time/no-secs", "string/basic-byte-escapes",
         "inline-table/linebreak-1", "inline-table/linebreak-2", "inline-table/linebreak-3", "inline-table/linebreak-4",
         "inline-table/trailing-comma"}


def test_what_became_valid_later_is_read():
    for name in LATER:
        assert read(SUITE["invalid"][name]).returncode == 0, name
    for text, want in (('a = {\n  x = 1, # one\n  y = "\\x41\\e",\n}\n', {"a": {"x": 1, "y": "A\x1b"}}),
                       ("a = 17:45\nb = 1987-07-05T17:45Z\n", {"a": "17:45:00", "b": "1987-07-05 17:45:00+00:00"})):
        assert json.loads(read(text).stdout) == want
    for text in ("a = {,}\n", "a = {x = 1,,}\n", "a = {x = 1 y = 2}\n", "a = 17:45.5\n", 'a = "\\x4"\n'):
        assert read(text).returncode == 1, text


def test_invalid_texts_are_refused_with_their_place():
    assert len(SUITE["invalid"]) > 300
    for name, text in SUITE["invalid"].items():
        if name in LATER:
            continue
        p = read(text)
        assert p.returncode == 1, f"{name} was accepted"
        assert p.stdout.startswith(b"ERROR in.toml:"), name
