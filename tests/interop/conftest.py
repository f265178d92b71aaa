import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

# This file and its parent's have one module name; whoever imports "conftest" here means the tools that one found.
_spec = importlib.util.spec_from_file_location("suite_conftest", HERE.parent / "conftest.py")
_suite = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_suite)
DVC, GIT_DATA = _suite.DVC, _suite.GIT_DATA
