"""A certificate authority of one's own, by the openssl program."""
import subprocess
from pathlib import Path

from servers.base import program


class Authority:
    def __init__(self, directory, name="test authority"):
        self.dir = Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.cert, self.key = self.dir / "ca.pem", self.dir / "ca.key"
        self._run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout",
                  self.key, "-out", self.cert, "-addext", "basicConstraints=critical,CA:TRUE")

    def _run(self, *args):
        subprocess.run([program("openssl"), *map(str, args)], check=True, capture_output=True, stdin=subprocess.DEVNULL)

    def issue(self, name, client=False):
        """(certificate, key) for 127.0.0.1 or for a client."""
        cert, key, ask, ext = (self.dir / f"{name}.{x}" for x in ("pem", "key", "csr", "ext"))
        self._run("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", ask)
        ext.write_text("extendedKeyUsage=clientAuth\n" if client else
                       "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
        self._run("x509", "-req", "-in", ask, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", "2",
                  "-extfile", ext, "-out", cert)
        return cert, key
