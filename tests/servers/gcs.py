"""fake-gcs-server, and the little of the JSON interface that the tests need."""
import json
import urllib.parse
import urllib.request
from pathlib import Path

from servers.base import Process, free_port, program


class FakeGcs:
    def __init__(self, directory):
        self.dir, self.port = Path(directory), free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def start(self):
        self.proc = Process([program("fake-gcs-server"), "-backend", "memory", "-scheme", "http", "-host", "127.0.0.1",
                             "-port", str(self.port), "-external-url", self.endpoint], self.dir / "log", self.port)
        self.call("POST", "/storage/v1/b?project=p", json.dumps({"name": "buck"}).encode(), "application/json")
        return self

    def call(self, method, path, data=None, kind="application/octet-stream"):
        q = urllib.request.Request(self.endpoint + path, data=data, method=method, headers={"Content-Type": kind})
        with urllib.request.urlopen(q) as a:
            return a.read()

    def keys(self, prefix):
        text = self.call("GET", "/storage/v1/b/buck/o?prefix=" + urllib.parse.quote(prefix))
        return sorted(i["name"] for i in json.loads(text).get("items", []))

    def _object(self, key):
        return "/storage/v1/b/buck/o/" + urllib.parse.quote(key, safe="")

    def read(self, key):
        return self.call("GET", self._object(key) + "?alt=media")

    def write(self, key, data):
        self.call("POST", "/upload/storage/v1/b/buck/o?uploadType=media&name=" + urllib.parse.quote(key, safe=""), data)

    def delete(self, key):
        self.call("DELETE", self._object(key))

    def stop(self):
        self.proc.stop()
