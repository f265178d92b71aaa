"""A server of files that wants HTTP digest authentication (RFC 7616, MD5, qop=auth), and ends its nonces now and then."""
import hashlib
import os
import re
import threading

from servers.dagshub import Handler, Server


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


class DigestHandler(Handler):
    def allowed(self):
        o, given = self.server.owner, self.headers.get("Authorization", "")
        f = {k: a or b for k, a, b in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]*))', given)}
        if not given.startswith("Digest ") or f.get("username") != o.user:
            return False
        ha1, ha2 = md5(f"{o.user}:{o.realm}:{o.password}"), md5(f"{self.command}:{f['uri']}")
        if f["uri"] != self.path or f["response"] != md5(f"{ha1}:{f['nonce']}:{f['nc']}:{f['cnonce']}:{f['qop']}:{ha2}"):
            return False
        o.answers += 1
        self.stale = f["nonce"] != o.nonce
        return not self.stale

    def say(self, status, body=b"", **headers):
        o = self.server.owner
        if status == 401:
            stale = ", stale=true" if getattr(self, "stale", False) else ""
            headers["WWW_Authenticate"] = f'Digest realm="{o.realm}", qop="auth", algorithm=MD5, nonce="{o.nonce}"{stale}'
        super().say(status, body, **headers)


class Digest:
    auth = header = limit = redirect = no_head = lose = deny = None
    methods = ()

    def __init__(self, root, user="us er", password='p"ä:ss', realm="the realm"):
        self.root, self.user, self.password, self.realm = str(root), user, password, realm
        self.nonce, self.answers, self.seen, self.other = "n1", 0, [], None
        os.makedirs(self.root, exist_ok=True)
        self.main = Server(("127.0.0.1", 0), DigestHandler)
        self.main.owner = self
        threading.Thread(target=self.main.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.main.server_port}/base"

    def stop(self):
        self.main.shutdown()
        self.main.server_close()
