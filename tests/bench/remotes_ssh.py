"""OpenSSH's sshd for remotes.py; sftp and rclone beside it. The ceiling is tar through ssh: one stream, nothing checked."""
import shlex
import shutil

import remotes_common as common
from servers.base import program
from servers.sshd import Sshd


class Spot(common.Spot):
    def __init__(self, kind, port):
        super().__init__(kind, port)
        self.url = f"ssh://{kind.server.user}@127.0.0.1:{port}{self.base}"
        self.options = {"keyfile": str(kind.server.keys["ed25519"])}
        home = kind.dir / f"home-{port}"
        if not home.exists():
            home.mkdir()
            kind.server.known_to(home, kind.server.host_line("ed25519", f"[127.0.0.1]:{port}"))
        self.env = {"HOME": str(home)}
        self.ssh = ["-F", "none", "-i", self.options["keyfile"], "-o", f"UserKnownHostsFile={home}/.ssh/known_hosts", "-o",
                    "BatchMode=yes", "-o", "IdentitiesOnly=yes"]
        self.to = f"{kind.server.user}@127.0.0.1"


class SshKind(common.Kind):
    name, program, serve, place = "ssh", ("sshd",), Sshd, Spot

    @property
    def root(self):
        return self.dir / "remotes"

    def ceilings(self, spot, direction, files, port):
        tree = files[0].path.rsplit("/", 2)[0]
        ssh = shlex.join([program("ssh"), *spot.ssh, "-p", str(port), spot.to])
        there, here = spot.base / "files/md5", self.dir / "tar"
        if direction == "push":
            line = f"tar -C {shlex.quote(tree)} -cf - . | {ssh} 'mkdir -p {there} && tar -C {there} -xf -'"
        else:
            line = f"rm -rf {here} && mkdir {here} && {ssh} 'tar -C {there} -cf - .' | tar -C {here} -xf -"
        yield "tar", ["bash", "-o", "pipefail", "-c", line], lambda: shutil.rmtree(here, ignore_errors=True)

    def tools(self):
        return {"sftp": self._sftp, "rclone": self.rclone}

    def _sftp(self, prog, spot, direction, tree):
        """One directory after the other, as its own wildcards go."""
        there, batch = spot.base / "files/md5", self.dir / f"batch-{spot.name}-{direction}"
        lines = []
        if direction == "push":
            there.mkdir(parents=True)
            for d in sorted(p.name for p in tree.iterdir() if p.is_dir() and any(f.suffix != ".dir" for f in p.iterdir())):
                lines += [f"mkdir {there}/{d}", f"put {tree}/{d}/* {there}/{d}/"]
        else:
            for d in sorted(p.name for p in there.iterdir()):
                (tree / d).mkdir()
                lines.append(f"get {there}/{d}/* {tree}/{d}/")
        batch.write_text("\n".join(lines) + "\n")
        return [prog, "-q", *spot.ssh, "-P", str(spot.port), "-b", str(batch), spot.to], {}

    def for_rclone(self, spot, direction):
        settings = {"type": "sftp", "host": "127.0.0.1", "port": spot.port, "user": self.server.user,
                    "key_file": spot.options["keyfile"], "shell_type": "none"}
        return settings, spot.base / "files/md5", [], 8


KINDS = {"ssh": SshKind}
