"""Azurite, Microsoft's own emulator of Azure Storage, and the little of the REST interface that the tests need."""
import base64
import hashlib
import hmac
import re
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

from servers.base import Process, free_port, program

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
VERSION = "2021-12-02"


def sas(permissions="rwdlacup"):
    """An account SAS of one hour."""
    end = (datetime.now(timezone.utc) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = dict(sp=permissions, ss="b", srt="sco", st="", se=end, sip="", spr="https,http", sv=VERSION, ses="")
    text = "\n".join([ACCOUNT, *fields.values()]) + "\n"
    mac = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
    return urllib.parse.urlencode({**{k: v for k, v in fields.items() if v}, "sig": base64.b64encode(mac).decode()})


class Azurite:
    """tls: (certificate, key) files; with them tokens are accepted too."""

    def __init__(self, directory, tls=None):
        self.dir, self.port, self.tls = Path(directory), free_port(), tls
        self.endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/{ACCOUNT}"
        self.connection_string = (f"DefaultEndpointsProtocol={'https' if tls else 'http'};AccountName={ACCOUNT};"
                                  f"AccountKey={KEY};BlobEndpoint={self.endpoint};")

    def start(self):
        more = ["--oauth", "basic", "--cert", str(self.tls[0]), "--key", str(self.tls[1])] if self.tls else []
        self.proc = Process([program("azurite-blob", "azurite"), "--location", str(self.dir / "data"), "--blobPort",
                             str(self.port), "--skipApiVersionCheck", "--disableTelemetry", "--silent", *more],
                            self.dir / "log", self.port)
        self.call("PUT", "cont", query="restype=container")
        return self

    def call(self, method, path, data=None, query="", **headers):
        import ssl
        url = f"{self.endpoint}/{urllib.parse.quote(path)}?{query}{'&' if query else ''}{sas()}"
        q = urllib.request.Request(url, data=data, method=method, headers={"x-ms-version": VERSION, **headers})
        with urllib.request.urlopen(q, context=ssl._create_unverified_context()) as a:
            return a.read()

    def sizes(self, prefix):
        """name -> length of every blob, page by page."""
        from html import unescape
        out, marker = {}, ""
        while True:
            text = self.call("GET", "cont", query="restype=container&comp=list&prefix=" + urllib.parse.quote(prefix)
                             + (f"&marker={urllib.parse.quote(marker)}" if marker else "")).decode("utf-8-sig")
            for blob in re.findall("<Blob>(.*?)</Blob>", text, re.S):
                out[unescape(re.search("<Name>([^<]*)</Name>", blob)[1])] = int(
                    re.search("<Content-Length>([0-9]+)</Content-Length>", blob)[1])
            next_page = re.search("<NextMarker>([^<]+)</NextMarker>", text)
            if not next_page:
                return out
            marker = unescape(next_page[1])

    def keys(self, prefix):
        from html import unescape
        text = self.call("GET", "cont", query="restype=container&comp=list&prefix=" + urllib.parse.quote(prefix))
        return sorted(unescape(n) for n in re.findall("<Name>([^<]*)</Name>", text.decode("utf-8-sig")))

    def read(self, key):
        return self.call("GET", f"cont/{key}")

    def write(self, key, data):
        self.call("PUT", f"cont/{key}", data, **{"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"})

    def delete(self, key):
        self.call("DELETE", f"cont/{key}")

    def stop(self):
        self.proc.stop()
