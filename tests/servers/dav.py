"""WebDAV: nginx with its dav modules, and rclone. Both serve a directory that a test can look into."""
import subprocess
from pathlib import Path

from servers.base import Missing, Process, free_port, program

NGINX = """\
{load}
daemon off; pid {dir}/pid; error_log {dir}/err; worker_processes 1;{user}
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {dir}/body; proxy_temp_path {dir}/t1; fastcgi_temp_path {dir}/t2;
  uwsgi_temp_path {dir}/t3; scgi_temp_path {dir}/t4;
  server {{
    listen 127.0.0.1:{port}{tls}; client_max_body_size 0; root {dir}/data;
    location / {{ dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS; dav_access user:rw; }}
  }}
}}
"""
MODULE = "modules/ngx_http_dav_ext_module.so"


class NginxDav:
    """tls: (certificate, key); client_ca: who signs the clients it wants; user: (name, password)."""

    def __init__(self, directory, tls=None, client_ca=None, user=None):
        self.dir, self.port = Path(directory), free_port()
        self.root, self.options, self.secrets = self.dir / "data", {}, {}
        self.tls, self.client_ca, self.user = tls, client_ca, user

    def _more(self):
        more = ""
        if self.tls:
            more += f"; ssl_certificate {self.tls[0]}; ssl_certificate_key {self.tls[1]}"
        if self.client_ca:
            more += f"; ssl_client_certificate {self.client_ca}; ssl_verify_client on"
        if self.user:
            word = subprocess.run([program("openssl"), "passwd", "-apr1", self.user[1]], check=True, capture_output=True,
                                  text=True).stdout.strip()
            (self.dir / "users").write_text(f"{self.user[0]}:{word}\n")
            more += f"; auth_basic r; auth_basic_user_file {self.dir}/users"
        return (" ssl" if self.tls else "") + more

    def start(self):
        import os
        exe = program("nginx")
        for lib in ("/usr/lib/nginx", "/usr/share/nginx", "/usr/lib64/nginx"):
            if Path(lib, MODULE).exists():
                load = f"load_module {lib}/{MODULE};"
                break
        else:
            raise Missing("libnginx-mod-http-dav-ext is not installed")
        self.root.mkdir(parents=True, exist_ok=True)
        user = " user root;" if os.geteuid() == 0 else ""
        (self.dir / "conf").write_text(NGINX.format(load=load, dir=self.dir, port=self.port, user=user,
                                                    tls=self._more()))
        self.proc = Process([exe, "-c", str(self.dir / "conf"), "-p", str(self.dir), "-e", str(self.dir / "err")],
                            self.dir / "log", self.port)
        return self

    def url(self, path):
        return f"webdav{'s' if self.tls else ''}://127.0.0.1:{self.port}/{path}"

    def stop(self):
        self.proc.stop()


class RcloneDav:
    def __init__(self, directory):
        self.dir, self.port = Path(directory), free_port()
        self.root, self.options, self.secrets = self.dir / "data", {"user": "u"}, {"password": "pass word"}

    def start(self):
        exe = program("rclone")
        self.root.mkdir(parents=True, exist_ok=True)
        self.proc = Process([exe, "serve", "webdav", "--config", "/dev/null", "--dir-cache-time", "0s", "--addr",
                             f"127.0.0.1:{self.port}", "--user", "u", "--pass", "pass word", str(self.root)],
                            self.dir / "log", self.port)
        return self

    tls = None
    url = NginxDav.url
    stop = NginxDav.stop
