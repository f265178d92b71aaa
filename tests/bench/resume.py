#!/usr/bin/env python3
"""SIGKILL at 90% of a push and of a fetch; counts what the second run moves.

    tests/bench/resume.py                            one file of 4 GiB, then four of 1 GiB, every remote
    tests/bench/resume.py --size 256M --remote ssh,s3 --files 1

Remotes: dir, s3, azure, ssh, ssh-program, webdav, http. A push is killed when 90% went through a TCP relay to the server, a
fetch when 90% lies in the cache; the relay counts what the second run moves, for a directory the kernel does (wchar of the
process). The sources are sparse with a mark in every 64 KiB, so that only the remote's and the fetched copy take space.
Prints a table; ends with 1 when a second run moved more than the rest and the allowance of its remote.

git-data is found through $GIT_DATA or the release build of this tree.
"""
import argparse
import hashlib
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "remote")]

from servers import s3 as s3_server  # noqa: E402
from servers.azurite import Azurite  # noqa: E402
from servers.dav import NginxDav  # noqa: E402
from servers.relay import Relay, Tool  # noqa: E402
from servers.sshd import Sshd  # noqa: E402

GIT_DATA = os.environ.get("GIT_DATA") or str(HERE.parents[1] / "build/release/git-data")
MB = 1 << 20
KINDS = ("dir", "s3", "azure", "ssh", "ssh-program", "webdav", "http")
# What of a killed transfer may be lost beside the rest, (push, fetch): the parts or requests under way, however many files.
# None: such a server cannot go on with an upload; one file's is made anew.
PART = {"dir": (4 * MB, 4 * MB), "s3": (64 * MB, 16 * MB), "azure": (64 * MB, 16 * MB), "ssh": (16 * MB, 16 * MB),
        "ssh-program": (16 * MB, 16 * MB), "webdav": (None, 16 * MB), "http": (None, 16 * MB)}


def parse_size(text):
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)


class Repo:
    def __init__(self, path, home):
        self.path = Path(path)
        self.path.mkdir(parents=True)
        Path(home).mkdir(exist_ok=True)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("DVC", "GIT_", "XDG_", "AWS_", "AZURE_", "SSH_"))}
        self.env.update(HOME=str(home), GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL="/dev/null")
        subprocess.run(["git", "init", "-q"], cwd=path, env=self.env, check=True)
        self.gd("init", "-q")
        self.gd("config", "cache.type", "hardlink")

    def gd(self, *args):
        subprocess.run([GIT_DATA, *args], cwd=self.path, env=self.env, check=True, stdout=subprocess.DEVNULL)

    def remote(self, url, options, secrets):
        self.gd("remote", "add", "-q", "-f", "-d", "r", url)
        for local, o in (([], options), (["--local"], secrets)):
            for k, v in o.items():
                self.gd("remote", "modify", "-q", *local, "r", k, str(v))

    def fill(self, files, size):
        """Sparse, every 64 KiB another."""
        for i in range(files):
            with open(self.path / f"big{i}", "wb") as f:
                f.truncate(size)
                for off in range(0, size, 65536):
                    f.seek(off)
                    f.write(f"{i} {off}\n".encode())
        self.gd("add", "-q", *[f"big{i}" for i in range(files)])


class Server:
    """A server, and the remote behind the relay."""

    def __init__(self, kind, directory):
        self.kind, self.dir = kind, Path(directory)
        self.dir.mkdir(parents=True)
        make = {"s3": lambda: s3_server.S3Server(s3_server.kinds()[-1], self.dir), "azure": lambda: Azurite(self.dir),
                "ssh": lambda: Sshd(self.dir), "ssh-program": lambda: Sshd(self.dir, host=("rsa",)),
                "webdav": lambda: NginxDav(self.dir), "http": lambda: NginxDav(self.dir)}.get(kind)
        self.server = make().start() if make else None

    def stop(self):
        if self.server:
            self.server.stop()

    def attach(self, repo, relay, name):
        s, port = self.server, relay.port if relay else 0
        if self.kind == "dir":
            repo.remote(str(self.dir / name), {}, {})
        elif self.kind == "s3":
            repo.remote(f"s3://bucket/{name}", {"endpointurl": f"http://127.0.0.1:{port}"},
                        {"access_key_id": s3_server.ACCESS, "secret_access_key": s3_server.SECRET})
        elif self.kind == "azure":
            text = s.connection_string.replace(f":{s.port}/", f":{port}/")
            repo.remote(f"azure://cont/{name}", {}, {"connection_string": text})
        elif self.kind.startswith("ssh"):
            kind = "rsa" if self.kind == "ssh-program" else "ed25519"
            s.known_to(repo.env["HOME"], s.host_line(kind, f"[127.0.0.1]:{port}"))
            repo.remote(s.url(s.dir / "remotes" / name).replace(f":{s.port}/", f":{port}/"), {"keyfile": s.keys[kind]}, {})
        else:
            (s.root / name).mkdir(parents=True)
            repo.remote(s.url(name).replace(f":{s.port}/", f":{port}/"), {}, {})

    def before_fetch(self, repo):
        """Plain HTTP reads what WebDAV has put there."""
        if self.kind == "http":
            text = (repo.path / ".dvc/config").read_text()
            (repo.path / ".dvc/config").write_text(text.replace("webdav:", "http:"))


def there(path):
    """Bytes of an object, or of a part: one that comes in pieces has a map of them behind its last byte."""
    n = path.stat().st_size
    with open(path, "rb") as f:
        f.seek(max(0, n - 32))
        tail = f.read()
        if len(tail) < 32 or not tail.startswith(b"git-data pieces\0"):
            return n
        size, chunk, chunks = struct.unpack("<QII", tail[16:])
        f.seek(size)
        return f.read(chunks).count(1) * chunk


def cached(repo):
    """Bytes in the cache, those of parts included. A part that becomes an object while we look has both names, one inode."""
    sizes = {}
    for p in (repo.path / ".dvc/cache").rglob("*"):
        try:
            if p.is_file():
                sizes[p.stat().st_ino] = there(p)
        except FileNotFoundError:
            pass
    return sum(sizes.values())


def one(repo, relay, what, total, share):
    """Kills a run when `share` of total is moved, then runs again: bytes moved by the second."""
    way = "up" if what == "push" else "down"
    if relay:
        relay.reset()
    t = Tool([GIT_DATA, what], repo.path, repo.env)
    if what == "fetch":
        t.kill_when(lambda: cached(repo) >= total * share)
    elif relay:
        relay.at(way, int(total * share), t.kill)
    else:
        t.kill_when(lambda: t.written() >= total * share)
    code, _, err = t.wait()
    assert t.killed and code == -9, f"the first {what} was not killed: {code} {err}"
    if relay:
        relay.drop()
        relay.reset()
    t = Tool([GIT_DATA, what], repo.path, repo.env)
    code, written, err = t.wait()
    assert code == 0, f"{what} after the kill: {code} {err}"
    return relay.up + relay.down if relay else written      # what is read back counts as well


def sound(repo, files):
    """Every object of the cache matches its name, and all are there."""
    n = 0
    for p in (repo.path / ".dvc/cache/files").rglob("*"):
        if p.is_file():
            m = hashlib.md5()
            with open(p, "rb") as f:
                while b := f.read(1 << 20):
                    m.update(b)
            assert m.hexdigest() == p.parent.name + p.name, p
            n += 1
    assert n == files, f"{n} objects in the cache"


def run(kind, work, files, size, share=0.9, prepare=None):
    """[(direction, total, moved by the second run)]"""
    server, out, total = Server(kind, Path(work) / "server"), [], files * size
    try:
        repo = Repo(Path(work) / "repo", Path(work) / "home")
        repo.fill(files, size)
        relay = None if kind == "dir" else Relay(server.server.port).__enter__()
        server.attach(repo, relay, "base")
        if prepare:
            prepare(repo)
        if PART[kind][0] is None:
            repo.gd("push", "-q")
        else:
            out.append(("push", total, one(repo, relay, "push", total, share)))
        for i in range(files):
            (repo.path / f"big{i}").unlink()
        shutil.rmtree(repo.path / ".dvc/cache")
        server.before_fetch(repo)
        out.append(("fetch", total, one(repo, relay, "fetch", total, share)))
        sound(repo, files)
        if relay:
            relay.__exit__()
    finally:
        server.stop()
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--size", type=parse_size, default=4 << 30, help="of all files together")
    p.add_argument("--files", default="1,4")
    p.add_argument("--remote", default=",".join(KINDS))
    p.add_argument("--work")
    o = p.parse_args()
    bad = 0
    print("| remote | files | run | second run moved | the rest | beyond the rest | allowed |\n|---|---|---|---|---|---|---|")
    for kind in o.remote.split(","):
        for files in (int(n) for n in o.files.split(",")):
            work = tempfile.mkdtemp(prefix="resume.", dir=o.work)
            try:
                for what, total, second in run(kind, work, files, o.size // files):
                    allowed = PART[kind][what == "fetch"]
                    if kind == "s3" and what == "push" and files > 1 and o.size // files <= 256 * MB:
                        allowed = 512 * MB      # whole, as to a server that is near
                    over = second - total // 10
                    bad += over > allowed
                    print(f"| {kind} | {files} x {o.size // files // MB} MiB | {what} | "
                          f"{second / MB:.1f} MiB | {total / 10 / MB:.1f} MiB | {over / MB:.1f} MiB | {allowed // MB} MiB |", flush=True)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
