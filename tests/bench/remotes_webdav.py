"""nginx with WebDAV for remotes.py, rclone beside it, and what the server gives at best."""
import remotes_common as common
from servers.dav import NginxDav


class Spot(common.Spot):
    def __init__(self, kind, port):
        super().__init__(kind, port)
        self.url, self.web = f"webdav://127.0.0.1:{port}/{self.name}", f"http://127.0.0.1:{port}/{self.name}"


class DavKind(common.Kind):
    name, program, serve, place = "nginx", ("nginx",), NginxDav, Spot

    @property
    def root(self):
        return self.server.root

    def ceilings(self, spot, direction, files, port):
        for f in files if direction == "push" else ():
            (spot.base / f.key).parent.mkdir(parents=True, exist_ok=True)
        big = files[0].size > 1 << 20
        if direction == "push":
            plan = [("PUT", f"{spot.web}/{f.key}", f.path, 0, f.size) for f in files]
        else:
            plan = [("GET", f"{spot.web}/{f.key}", "", 0, f.size if big else 0) for f in files]
        yield "whole", plan, lambda: None

    @staticmethod
    def for_rclone(spot, direction):
        return {"type": "webdav", "url": spot.web, "vendor": "other"}, "files/md5", [], 32


KINDS = {"nginx": DavKind}
