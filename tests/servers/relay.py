"""A TCP relay that counts what passes, cuts, and calls when a number of bytes went by; and what one process wrote.

    with Relay(port) as r:
        r.at("up", 1000, fn)        # fn() once 1,000 bytes went to the server
        r.cut("down", 5000)         # every connection from now on dies after 5,000 bytes of answers
        r.hush("down", 300)         # every connection from now on brings 300 bytes of answers, then stays open and silent
        r.up, r.down, r.connections # bytes and connections so far
"""
import os
import signal
import socket
import subprocess
import threading
import time


class Relay:
    def __init__(self, port, host="127.0.0.1"):
        self.to, self.up, self.down, self.connections = (host, port), 0, 0, 0
        self.lock, self.marks, self.cuts, self.open, self.silent = threading.Lock(), [], {}, set(), set()

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._end(self.listener)
        self.drop()

    def drop(self):
        """Ends every connection that is open now."""
        with self.lock:
            gone = list(self.open)
        for s in gone:
            self._end(s)

    def reset(self):
        with self.lock:
            self.up = self.down = self.connections = 0
            self.marks, self.cuts = [], {}
            self.silent = set()

    def at(self, way, n, fn):
        with self.lock:
            self.marks.append((way, n, fn))

    def cut(self, way, n, times=1 << 30):
        """times: so many connections, then none."""
        with self.lock:
            self.cuts[way] = [n, times]
            self.silent.discard(way)

    def hush(self, way, n):
        self.cut(way, n)
        with self.lock:
            self.silent.add(way)

    @staticmethod
    def _end(s):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        s.close()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self.to)
            except OSError:
                self._end(near)
                continue
            with self.lock:
                self.connections += 1
                self.open |= {near, far}
            for s in (near, far):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 18)       # what lies there counts as passed
            for a, b, way in ((near, far, "up"), (far, near, "down")):
                threading.Thread(target=self._copy, args=(a, b, way), daemon=True).start()

    def _count(self, way, n):
        with self.lock:
            total = getattr(self, way) + n
            setattr(self, way, total)
            due = [m for m in self.marks if m[0] == way and total >= m[1]]
            self.marks = [m for m in self.marks if m not in due]
        for _, _, fn in due:
            fn()

    def _left(self, way, passed, n):
        """How many of n bytes may still pass."""
        with self.lock:
            c = self.cuts.get(way)
            if not c or not c[1] or passed + n < c[0]:
                return n
            c[1] -= 1
            return max(0, c[0] - passed)

    def _copy(self, a, b, way):
        passed, buf = 0, memoryview(bytearray(1 << 18))
        try:
            while n := a.recv_into(buf):
                may = self._left(way, passed, n)
                b.sendall(buf[:may])
                self._count(way, may)
                passed += may
                if may < n and way in self.silent:
                    return
                if may < n:
                    break
        except OSError:
            pass
        self._end(a)
        self._end(b)
        with self.lock:
            self.open -= {a, b}


class Tool:
    """One run of the tool that can be killed at a moment, and what it wrote to files."""

    def __init__(self, argv, cwd, env):
        self.proc = subprocess.Popen([str(a) for a in argv], cwd=cwd, env=env, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, text=True)
        self.killed = False

    def kill(self):
        if self.proc.returncode is None:
            self.killed = True
            os.kill(self.proc.pid, signal.SIGKILL)

    def _io(self):
        with open(f"/proc/{self.proc.pid}/io") as f:
            return dict((k, int(v)) for k, v in (line.split(":") for line in f))

    def kill_when(self, fn):
        while not fn():
            if os.waitid(os.P_PID, self.proc.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return
            time.sleep(0.001)
        self.kill()

    def written(self):
        return self._io()["wchar"]

    def wait(self):
        """(exit status, bytes written, stderr)"""
        err = self.proc.stderr.read()
        os.waitid(os.P_PID, self.proc.pid, os.WEXITED | os.WNOWAIT)
        written = self.written()
        self.proc.wait()
        return self.proc.returncode, written, err
