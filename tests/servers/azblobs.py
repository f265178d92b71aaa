"""Azure Blob with versioning switched on, in memory: what Azurite lacks. Nobody's signature is looked at."""
import base64
import hashlib
import threading
import time
import urllib.parse
from email.utils import formatdate
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from servers.azurite import ACCOUNT, KEY


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def say(self, status, body=b"", code=None, **headers):
        self.send_response(status)
        headers.setdefault("Content-Length", str(len(body)))
        if code:
            headers["x-ms-error-code"] = code
        for k, v in {"x-ms-version": "2021-12-02", "x-ms-request-id": "1", **headers}.items():
            self.send_header(k, v)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def ask(self):
        url = urllib.parse.urlsplit(self.path)
        parts = urllib.parse.unquote(url.path).split("/", 3)
        return parts[3] if len(parts) > 3 else "", dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))

    def find(self, name, query):
        versions = self.server.blobs.get(name, [])
        if "versionid" in query:
            return next((v for v in versions if v["id"] == query["versionid"]), None)
        return versions[-1] if versions and not versions[-1]["gone"] else None

    def meta(self, v):
        return {"ETag": v["etag"], "x-ms-version-id": v["id"], "Last-Modified": v["date"], "x-ms-blob-type": "BlockBlob",
                "Content-MD5": base64.b64encode(hashlib.md5(v["data"]).digest()).decode(),
                "x-ms-creation-time": v["date"], "Content-Type": "application/octet-stream", "Accept-Ranges": "bytes",
                "x-ms-lease-status": "unlocked", "x-ms-lease-state": "available", "x-ms-server-encrypted": "true"}

    def do_PUT(self):
        name, query = self.ask()
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "comp" in query or not name:
            return self.say(400, code="UnsupportedHeader")
        with self.server.lock:
            if self.headers.get("If-None-Match") == "*" and self.find(name, {}):
                return self.say(409, code="BlobAlreadyExists")
            self.server.count += 1
            v = {"id": f"2026-01-01T00:00:00.{self.server.count:07}Z", "data": data, "gone": False,
                 "etag": f'"0x{self.server.count:016X}"', "date": formatdate(time.time(), usegmt=True)}
            self.server.blobs.setdefault(name, []).append(v)
        self.say(201, **self.meta(v))

    def do_GET(self):
        name, query = self.ask()
        if query.get("comp") == "list":
            return self.listing(query)
        if query.get("restype") == "container" and not name:
            return self.say(200, ETag='"0x1"', **{"Last-Modified": formatdate(0, usegmt=True)})
        v = self.find(name, query)
        if not v:
            return self.say(404, code="BlobNotFound")
        data, head = v["data"], self.meta(v)
        r = self.headers.get("x-ms-range") or self.headers.get("Range")
        if self.command == "HEAD":
            return self.say(200, **{**head, "Content-Length": str(len(data))})
        if r:
            a, _, b = r[6:].partition("-")
            a, b = int(a), min(int(b) if b else len(data) - 1, len(data) - 1)
            if a >= len(data):
                return self.say(416, code="InvalidRange", **{"Content-Range": f"bytes */{len(data)}"})
            head["x-ms-blob-content-md5"] = head.pop("Content-MD5")
            return self.say(206, data[a:b + 1], **{**head, "Content-Range": f"bytes {a}-{b}/{len(data)}"})
        self.say(200, data, **head)

    do_HEAD = do_GET

    def listing(self, query):
        rows = []
        for name in sorted(self.server.blobs):
            if not name.startswith(query.get("prefix", "")):
                continue
            every = "versions" in query.get("include", "")
            for v in self.server.blobs[name] if every else [x for x in [self.find(name, {})] if x]:
                now = " <IsCurrentVersion>true</IsCurrentVersion>" if v is self.server.blobs[name][-1] else ""
                rows.append(f"<Blob><Name>{escape(name)}</Name><VersionId>{v['id']}</VersionId>{now}<Properties>"
                            f"<Creation-Time>{v['date']}</Creation-Time><Last-Modified>{v['date']}</Last-Modified>"
                            f"<Etag>{v['etag'].strip(chr(34))}</Etag><Content-Length>{len(v['data'])}</Content-Length>"
                            f"<Content-Type>application/octet-stream</Content-Type><BlobType>BlockBlob</BlobType>"
                            f"</Properties></Blob>")
        text = (f"<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ContainerName=\"cont\"><Blobs>"
                f"{''.join(rows)}</Blobs><NextMarker /></EnumerationResults>").encode()
        self.say(200, text, **{"Content-Type": "application/xml"})

    def do_DELETE(self):
        name, query = self.ask()
        v = self.find(name, query)
        if not v:
            return self.say(404, code="BlobNotFound")
        v["gone"] = True
        self.say(202)


class AzBlobs:
    def __init__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.blobs, self.server.count, self.server.lock = {}, 0, threading.Lock()
        self.blobs = self.server.blobs
        self.port = self.server.server_port
        self.connection_string = (f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
                                  f"BlobEndpoint=http://127.0.0.1:{self.port}/{ACCOUNT};")
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
