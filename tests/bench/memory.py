#!/usr/bin/env python3
"""Peak memory of push, fetch and checkout: one sparse file of 20 GiB, and a directory of 1,000,000 small objects.

    tests/bench/memory.py                                   everything
    tests/bench/memory.py --case file --size 20G            to a directory, and to an HTTP server that throws away
    tests/bench/memory.py --case many --count 1000000 --remote dir,ssh

The file is sparse; a directory remote keeps it so, the server forgets what it is sent and answers from the source. The
objects (empty to 1 KiB, all different) are laid directly into the cache with their manifest. Prints a table of peak
resident memory; ends with 1 when a run needs more than --limit.

git-data is found through $GIT_DATA or the release build of this tree.
"""
import argparse
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import resume  # noqa: E402
from resume import GIT_DATA, MB, parse_size  # noqa: E402


class Sink:
    """Takes a PUT and forgets it; answers HEAD and GET (with ranges) from one file."""

    def __init__(self, source):
        sizes = {}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *a):
                pass

            def do_PUT(self):
                left = int(self.headers["Content-Length"])
                sizes[self.path] = left
                buf = memoryview(bytearray(MB))
                while left and (n := self.rfile.readinto(buf[:min(left, MB)])):
                    left -= n
                self.head(201 if not left else 400, 0)

            def head(self, status, length, **more):
                self.send_response(status)
                self.send_header("Content-Length", str(length))
                for k, v in more.items():
                    self.send_header(k.replace("_", "-"), v)
                self.end_headers()

            def do_HEAD(self):
                self.head(200 if self.path in sizes else 404, sizes.get(self.path, 0))

            def do_GET(self):
                if self.path not in sizes:
                    return self.head(404, 0)
                size, r = sizes[self.path], self.headers.get("Range")
                at = int(r[6:].partition("-")[0]) if r else 0
                self.head(206 if r else 200, size - at, **({"Content_Range": f"bytes {at}-{size - 1}/{size}"} if r else {}))
                self.wfile.flush()
                with open(source, "rb") as f:
                    while at < size:
                        at += os.sendfile(self.connection.fileno(), f.fileno(), at, 8 * MB)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/x"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Meter:
    def __init__(self, limit):
        self.limit, self.bad = limit, 0
        print("| case | run | peak memory | seconds |\n|---|---|---|---|", flush=True)

    def run(self, repo, case, *args):
        start = time.monotonic()
        pid = os.fork()
        if not pid:
            os.chdir(repo.path)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.execve(GIT_DATA, [GIT_DATA, *args], repo.env)
        _, status, usage = os.wait4(pid, 0)
        peak = usage.ru_maxrss * 1024
        self.bad += status != 0 or peak > self.limit
        print(f"| {case} | {' '.join(args)}{'' if not status else f' (status {status})'} | {peak // MB} MB | "
              f"{time.monotonic() - start:.1f} |", flush=True)


def file_case(work, size, meter):
    for where in ("dir", "http"):
        (work / where).mkdir()
        repo = resume.Repo(work / where / "repo", work / where / "home")
        big = repo.path / "big"
        with open(big, "wb") as f:
            f.truncate(size)
            for off in (0, size // 2, size - 7):
                f.seek(off)
                f.write(b"a mark\n")
        case = f"one file of {size / (1 << 30):g} GiB, {where}"
        meter.run(repo, case, "add", "-q", "big")
        source = work / where / "source"
        os.link(big, source)
        sink = Sink(source) if where == "http" else None
        repo.remote(sink.url if sink else str(work / where / "remote"), {"method": "PUT"} if sink else {}, {})
        meter.run(repo, case, "push", "-q")
        big.unlink()
        shutil.rmtree(repo.path / ".dvc/cache")
        meter.run(repo, case, "pull", "-q")
        assert big.stat().st_size == size
        if sink:
            sink.stop()
        shutil.rmtree(work / where)


def lay_objects(repo, count):
    """Objects of 0 to 1,024 bytes in the cache, their manifest, and its pointer."""
    rnd, rows, base = random.Random(7), [], repo.path / ".dvc/cache/files/md5"
    for i in range(256):
        (base / f"{i:02x}").mkdir(parents=True)
    for i in range(count):
        data = (b"%d " % i * 200)[:rnd.randrange(0, 1025)] if i else b""
        if i and len(data) < 9:
            data = b"%d\n" % i
        h = hashlib.md5(data).hexdigest()
        fd = os.open(f"{base}/{h[:2]}/{h[2:]}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        os.write(fd, data)
        os.close(fd)
        rows.append({"md5": h, "relpath": f"{i // 1000:04}/{i:07}"})
    text = json.dumps(rows).encode()
    h = hashlib.md5(text).hexdigest()
    (base / h[:2] / f"{h[2:]}.dir").write_bytes(text)
    (base / h[:2] / f"{h[2:]}.dir").chmod(0o444)
    (repo.path / "many.dvc").write_text(f"outs:\n- md5: {h}.dir\n  nfiles: {count}\n  hash: md5\n  path: many\n")


def many_case(work, count, kind, meter, trash):
    server, case = resume.Server(kind, work / kind / "server"), f"{count:,} objects, {kind}"
    try:
        repo = resume.Repo(work / kind / "repo", work / kind / "home")
        lay_objects(repo, count)
        server.attach(repo, server.server, "base")
        meter.run(repo, case, "push", "-q")
        meter.run(repo, case, "push", "-q")
        os.rename(repo.path / ".dvc/cache", trash / f"{kind}.cache")
        meter.run(repo, case, "fetch", "-q")
        os.rename(repo.path / ".dvc/cache", trash / f"{kind}.cache2")
        meter.run(repo, case, "pull", "-q")
    finally:
        server.stop()
        os.rename(work / kind, trash / kind)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--case", default="file,many")
    p.add_argument("--size", type=parse_size, default=20 << 30)
    p.add_argument("--count", type=int, default=1000000)
    p.add_argument("--remote", default="dir,ssh")
    p.add_argument("--limit", type=parse_size, default=300 * MB)
    p.add_argument("--work")
    o = p.parse_args()
    work = Path(tempfile.mkdtemp(prefix="memory.", dir=o.work))
    meter = Meter(o.limit)
    (work / "trash").mkdir()
    try:
        if "file" in o.case.split(","):
            file_case(work, o.size, meter)
        for kind in o.remote.split(",") if "many" in o.case.split(",") else ():
            many_case(work, o.count, kind, meter, work / "trash")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    sys.exit(1 if meter.bad else 0)


if __name__ == "__main__":
    main()
