"""What every server fixture shares: a free port, readiness, an end by process id.

A server whose program is missing raises Missing; the fixtures turn that into a skip, which CI counts as a failure.
"""
import os
import shutil
import signal
import socket
import subprocess
import time


class Missing(Exception):
    pass


def program(name, *also):
    """Absolute name of a program; sbin directories count too."""
    for n in (os.environ.get(name.upper().replace("-", "_")), name, *also):
        if not n:
            continue
        p = shutil.which(n) or shutil.which(n, path="/usr/sbin:/usr/local/sbin:/sbin")
        if p:
            return p
    raise Missing(f"{name} is not installed")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, proc=None, secs=20):
    end = time.monotonic() + secs
    while time.monotonic() < end:
        if proc is not None and proc.poll() is not None:
            raise RuntimeError(f"server ended with {proc.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}")


class Process:
    """One child in its own process group; stop() ends just that one."""

    def __init__(self, argv, log, port=None, env=None, cwd=None):
        self.log = open(log, "wb")
        self.proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=cwd,
                                     env=env, start_new_session=True)
        if port is not None:
            try:
                wait_port(port, self.proc)
            except Exception:
                self.stop()
                raise

    def stop(self):
        if self.proc.poll() is None:
            for sig, secs in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
                try:
                    os.killpg(self.proc.pid, sig)
                    self.proc.wait(secs)
                    break
                except (subprocess.TimeoutExpired, ProcessLookupError):
                    continue
        self.log.close()
