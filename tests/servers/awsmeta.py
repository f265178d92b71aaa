"""What hands out keys on Amazon's machines, in its real shape: the container's agent and version 2 of the instance metadata."""
import http.server
import json
import threading
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def answer(self):
        o = self.server.owner
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        o.seen.append((self.command, self.path))
        status, text = o.reply(self.command, self.path, self.headers)
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_PUT = answer


class AwsMeta:
    """`keys` is called for each question: a dict as STS gives it (AccessKeyId, SecretAccessKey, SessionToken)."""

    ROLES = "/latest/meta-data/iam/security-credentials/"

    def __init__(self, keys, token=None, ends_in=3600):
        self.keys, self.token, self.ends_in, self.seen = keys, token, ends_in, []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.owner = self
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def document(self, **more):
        k = self.keys()
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.ends_in))
        return json.dumps({"AccessKeyId": k["AccessKeyId"], "SecretAccessKey": k["SecretAccessKey"],
                           "Token": k["SessionToken"], "Expiration": until, **more})

    def reply(self, method, path, headers):
        if path.startswith("/latest/"):
            return self.instance(method, path, headers)
        if self.token and headers.get("Authorization") != self.token:
            return 401, '{"code": "AccessDenied", "message": "token"}'
        return 200, self.document(RoleArn="arn:aws:iam::1:role/task")

    def instance(self, method, path, headers):
        if path == "/latest/api/token":
            ok = method == "PUT" and headers.get("X-aws-ec2-metadata-token-ttl-seconds", "").isdigit()
            return (200, "imds-token==") if ok else (400, "")
        if headers.get("X-aws-ec2-metadata-token") != "imds-token==":
            return 401, ""
        if path == self.ROLES:
            return 200, "the-role"
        if path == self.ROLES + "the-role":
            return 200, self.document(Code="Success", Type="AWS-HMAC", LastUpdated="2026-01-01T00:00:00Z")
        return 404, ""

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
