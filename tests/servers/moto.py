"""moto, for what checks no signature but answers as Amazon does: web identity and instance metadata."""
import sys
import urllib.request

from servers.base import Missing, Process, free_port


class Moto:
    def __init__(self, directory):
        try:
            import moto.server  # noqa: F401
        except ImportError as e:
            raise Missing(f"moto is not installed: {e}") from e
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = Process([sys.executable, "-m", "moto.server", "-p", str(self.port)], directory / "moto.log", self.port)
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/bucket", method="PUT")).close()

    def log(self):
        with open(self.process.log.name) as f:
            return f.read()

    def stop(self):
        self.process.stop()
