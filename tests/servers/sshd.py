"""OpenSSH's sshd on loopback with its own configuration, host keys, user key and port."""
import getpass
import os
import subprocess
from pathlib import Path

from servers.base import Process, free_port, program

CONF = """\
Port {port}
ListenAddress 127.0.0.1
{hostkeys}
PidFile none
AuthorizedKeysFile {dir}/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 100
Subsystem sftp internal-sftp
{more}
"""


def keygen(path, kind, passphrase=""):
    subprocess.run([program("ssh-keygen"), "-q", "-t", kind, "-N", passphrase, "-C", "", "-f", str(path)], check=True,
                   stdin=subprocess.DEVNULL)
    return path


class Sshd:
    """host: kinds of the host's keys. keys: name -> private key file; 'enc' has the passphrase 'geheim'."""

    def __init__(self, directory, host=("ed25519", "ecdsa", "rsa"), more=""):
        self.dir, self.host, self.more = Path(directory), host, more
        self.user, self.port = getpass.getuser(), free_port()
        self.keys = {}

    def start(self):
        exe = program("sshd")
        self.dir.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        for k in self.host:
            keygen(self.dir / f"host_{k}", k)
        for name, kind, word in (("ed25519", "ed25519", ""), ("ecdsa", "ecdsa", ""), ("rsa", "rsa", ""),
                                 ("enc", "ed25519", "geheim"), ("stranger", "ed25519", "")):
            self.keys[name] = keygen(self.dir / f"key_{name}", kind, word)
        (self.dir / "authorized").write_text("".join(
            Path(f"{p}.pub").read_text() for n, p in self.keys.items() if n != "stranger"))
        (self.dir / "conf").write_text(CONF.format(
            port=self.port, dir=self.dir, more=self.more,
            hostkeys="\n".join(f"HostKey {self.dir}/host_{k}" for k in self.host)))
        self.proc = Process([exe, "-D", "-e", "-f", str(self.dir / "conf")], self.dir / "log", self.port)
        return self

    def host_line(self, kind="ed25519", name=None):
        kind, key = Path(f"{self.dir}/host_{kind}.pub").read_text().split()[:2]
        return f"{name or f'[127.0.0.1]:{self.port}'} {kind} {key}\n"

    def known_to(self, home, lines=None):
        ssh = Path(home) / ".ssh"
        ssh.mkdir(mode=0o700, exist_ok=True)
        (ssh / "known_hosts").write_text(self.host_line() if lines is None else lines)
        return ssh

    def url(self, path):
        return f"ssh://{self.user}@127.0.0.1:{self.port}{path}"

    def stop(self):
        self.proc.stop()
