"""The reference tool as a long-lived process (refserver.py): a command costs a fork, not the import of DVC."""
import atexit
import json
import os
import select
import subprocess
import tempfile
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Reference:
    def __init__(self, tool):
        beside = Path(tool).parent / "python"
        first = Path(tool).read_text(errors="replace").splitlines()[0]
        self.python = [str(beside)] if beside.exists() else first.removeprefix("#!").strip().split()
        self.busy, self.at = threading.Lock(), tempfile.TemporaryDirectory(prefix="reference.")
        self.start()

    def start(self):
        env = {k: os.environ[k] for k in ("PATH", "LANG", "TMPDIR") if k in os.environ}
        env.update(PYTHONHASHSEED="0", DVC_NO_ANALYTICS="1", PYTHONDONTWRITEBYTECODE="1", LC_ALL="C.UTF-8")
        self.p = subprocess.Popen([*self.python, str(HERE / "refserver.py")], stdin=subprocess.PIPE, env=env,
                                  stdout=subprocess.PIPE, text=True)
        self.answer(60)

    def answer(self, timeout):
        if not select.select([self.p.stdout], [], [], timeout)[0]:
            self.p.kill()
            self.p.wait()
            self.start()
            raise subprocess.TimeoutExpired("dvc", timeout)
        line = self.p.stdout.readline()
        if not line:
            raise RuntimeError("the reference process ended")
        return json.loads(line)

    def run(self, argv, cwd, env, out, err, timeout=None):
        """The exit code; the output is in the named files."""
        req = {"argv": [str(a) for a in argv], "cwd": str(cwd), "env": env, "out": str(out), "err": str(err)}
        with self.busy:
            self.p.stdin.write(json.dumps(req) + "\n")
            self.p.stdin.flush()
            return self.answer(timeout)["code"]

    def completed(self, argv, cwd, env, timeout):
        """As subprocess.run() gives it, with text."""
        texts = []
        with tempfile.TemporaryDirectory(dir=self.at.name) as d:
            paths = [os.path.join(d, n) for n in ("out", "err")]
            code = self.run(argv, cwd, env, *paths, timeout=timeout)
            for p in paths:
                with open(p, errors="surrogateescape", newline="") as f:
                    texts.append(f.read().replace("\r\n", "\n").replace("\r", "\n"))
        return subprocess.CompletedProcess(["dvc", *argv], code, *texts)

    def stop(self):
        self.p.stdin.close()
        self.p.wait()
        self.at.cleanup()


_shared = {}


def shared(tool):
    """One for this process."""
    if tool not in _shared:
        _shared[tool] = Reference(tool)
        atexit.register(_shared[tool].stop)
    return _shared[tool]
