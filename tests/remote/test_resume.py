"""SIGKILL at 90% of a large transfer: the second run moves the rest and no more, counted on the wire.

tests/bench/resume.py does the same at full size.
"""
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench"))

import resume  # noqa: E402
from resume import MB  # noqa: E402
from servers import s3 as s3_server  # noqa: E402
from servers.base import Missing  # noqa: E402

# Size of the file, and what may be lost of a killed push beside the rest: the parts that were under way.
SIZE = {"azure": (128 * MB, 4 * 8 * MB), "s3": (80 * MB, 4 * 5 * MB), "dir": (64 * MB, MB)}
CHUNK = MB       # what a killed fetch may lose of each file (core/data/incoming.c); once more for requests and heads


def small_parts(repo):
    conf = repo.path.parent / "aws"
    conf.write_text("[default]\ns3 =\n  multipart_threshold = 5MB\n  multipart_chunksize = 5MB\n")
    repo.env["AWS_CONFIG_FILE"] = str(conf)


@pytest.mark.parametrize("kind,files", [*((k, 1) for k in resume.KINDS), ("dir", 3), ("ssh", 3), ("webdav", 3)])
def test_the_second_run_moves_only_the_rest(kind, files, tmp_path):
    if kind == "s3" and not s3_server.kinds():
        pytest.skip("no S3 server is installed (weed or versitygw)")
    size, lost = SIZE.get(kind, ((64 if files == 1 else 40) * MB, 10 * MB))
    try:
        rows = resume.run(kind, tmp_path / "w", files, size, prepare=small_parts if kind == "s3" else None)
    except Missing as e:
        pytest.skip(str(e))
    finally:
        shutil.rmtree(tmp_path / "w", ignore_errors=True)
    assert len(rows) == (1 if kind in ("webdav", "http") else 2)
    for what, total, moved in rows:
        more = lost if what == "push" else (files + 1) * CHUNK
        assert moved <= total * 0.1 + more, f"{kind} {what}: {moved / MB:.1f} of {total / MB:.0f} MiB moved by the second run"
