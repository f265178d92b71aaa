"""A token endpoint: what Microsoft's login, the metadata services and Google's token service answer, and what they were asked."""
import base64
import json
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def jwt(**claims):
    """Well-formed, unsigned: emulators look at the claims alone."""
    def part(o):
        return base64.urlsafe_b64encode(json.dumps(o).encode()).decode().rstrip("=")
    now = int(time.time())
    body = {"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
            "iat": now - 10, "nbf": now - 10, "exp": now + 3600, **claims}
    return f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{part(body)}.{base64.urlsafe_b64encode(b'sig').decode()}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def answer(self):
        o = self.server.owner
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        o.seen.append((self.command, self.path, dict(self.headers), dict(urllib.parse.parse_qsl(body))))
        status, text = o.reply(self)
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = answer


class Tokens:
    def __init__(self):
        self.seen, self.refuse = [], False
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.owner = self
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def reply(self, h):
        if self.refuse:
            return 401, json.dumps({"error": "invalid_client", "error_description": "no such client"})
        return 200, json.dumps({"access_token": jwt(), "expires_in": 3600, "token_type": "Bearer"})

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
