"""rclone's SFTP server: passwords, no posix-rename, no limits, its own host keys; and a relay that falls silent."""
import socket
import subprocess
import threading
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


class Mute:
    """Relays to a port, but hands back only the first bytes of what it says, and then nothing at all."""

    def __init__(self, port, allow):
        self.to, self.allow, self.asked, self.open = port, allow, 0, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        for s in (self.listener, *self.open):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                return
            self.asked += 1
            self.open += [near, far]
            for a, b, n in ((near, far, 1 << 40), (far, near, self.allow)):
                threading.Thread(target=self._copy, args=(a, b, n), daemon=True).start()

    @staticmethod
    def _copy(a, b, left):
        try:
            while left and (data := a.recv(min(left, 65536))):
                b.sendall(data)
                left -= len(data)
        except OSError:
            pass
