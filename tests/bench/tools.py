"""Where the benches find the two tools."""
import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def find_tools():
    """{name: argv prefix} of what is there: $GIT_DATA or the release build of this tree, $DVC or the one in PATH."""
    own = os.environ.get("GIT_DATA") or str(ROOT / "build/release/git-data")
    dvc = os.environ.get("DVC") or shutil.which("dvc")
    found = {"git-data": [os.path.abspath(own)]} if os.access(own, os.X_OK) else {}
    if dvc:
        found["dvc"] = [dvc]
    return found
