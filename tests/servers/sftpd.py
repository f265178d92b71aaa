"""rclone's SFTP server: passwords, no posix-rename, no limits, its own host keys."""
import subprocess
from pathlib import Path

from servers.base import Process, free_port, program


class RcloneSftp:
    user, password = "u", "pass word"

    def __init__(self, directory):
        self.dir, self.port = Path(directory), free_port()
        self.root = self.dir / "data"

    def start(self):
        exe, keygen = program("rclone"), program("ssh-keygen")
        self.root.mkdir(parents=True, exist_ok=True)
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(self.dir / "host")], check=True,
                       stdin=subprocess.DEVNULL)
        self.proc = Process([exe, "serve", "sftp", "--config", "/dev/null", "--dir-cache-time", "0s", "--addr",
                             f"127.0.0.1:{self.port}", "--user", self.user, "--pass", self.password, "--key",
                             str(self.dir / "host"), str(self.root)], self.dir / "log", self.port)
        return self

    def host_line(self, port=None):
        kind, key = (self.dir / "host.pub").read_text().split()[:2]
        return f"[127.0.0.1]:{port or self.port} {kind} {key}\n"

    def known_to(self, home, lines=None):
        ssh = Path(home) / ".ssh"
        ssh.mkdir(mode=0o700, exist_ok=True)
        (ssh / "known_hosts").write_text(self.host_line() if lines is None else lines)
        return ssh

    def url(self, path, port=None):
        return f"ssh://{self.user}@127.0.0.1:{port or self.port}/{path}"

    def stop(self):
        self.proc.stop()
