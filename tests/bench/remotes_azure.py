"""Azurite for remotes.py, rclone beside it, and what the server gives at best."""
import base64
import shutil

import remotes_common as common
from servers.azurite import ACCOUNT, KEY, Azurite, sas

PART = 8 << 20


class Spot(common.Spot):
    def __init__(self, kind, port):
        super().__init__(kind, port)
        self.url = f"azure://cont/{self.name}"
        self.endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
        self.options = {"connection_string": f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
                                             f"BlobEndpoint={self.endpoint};"}


class AzureKind(common.Kind):
    name, program, serve, place = "azurite", ("azurite-blob", "azurite"), Azurite, Spot
    connections = (16,)         # one thread of JavaScript: more of them change nothing

    def fresh(self, port=None):
        """Azurite gets slower with what it holds: each place is on a server that never held anything."""
        self.server.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)
        self.server.start()
        return super().fresh(port)

    def objects(self, spot):
        return {k[len(spot.name) + 1:]: size for k, size in self.server.sizes(spot.name + "/").items()}

    def remove(self, spot):
        """Azurite is slow at deleting, and keeps the bytes anyway."""

    def ceilings(self, spot, direction, files, port):
        key = sas()

        def url(f, query=""):
            return f"{spot.endpoint}/cont/{spot.name}/{f.key}?{query}{'&' if query else ''}{key}"

        def nothing():
            pass

        big = files[0].size > PART
        if direction == "pull":
            yield "whole", [("GET", url(f), "", 0, f.size if big else 0) for f in files], nothing
            if big:
                yield "parts", [("GET", url(f), "", at, min(PART, f.size - at))
                                for f in files for at in range(0, f.size, PART)], nothing
            return
        yield "whole", [("PUT", url(f), f.path, 0, f.size, "x-ms-blob-type: BlockBlob") for f in files], nothing
        if not big:
            return

        def block(at):
            return base64.b64encode(b"%08d" % (at // PART)).decode().replace("=", "%3D")

        def commit():
            for f in files:
                names = "".join(f"<Latest>{block(at).replace('%3D', '=')}</Latest>" for at in range(0, f.size, PART))
                self.server.call("PUT", f"cont/{spot.name}/{f.key}",
                                 f"<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>{names}</BlockList>".encode(),
                                 query="comp=blocklist")

        yield "parts", [("PUT", url(f, f"comp=block&blockid={block(at)}"), f.path, at, min(PART, f.size - at))
                        for f in files for at in range(0, f.size, PART)], commit

    @staticmethod
    def for_rclone(spot, direction):
        settings = {"type": "azureblob", "account": ACCOUNT, "key": KEY, "endpoint": spot.endpoint}
        return settings, f"cont/{spot.name}/files/md5", ["--no-traverse" if direction == "push" else "--fast-list"], 32


KINDS = {"azurite": AzureKind}
