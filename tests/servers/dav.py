"""WebDAV: nginx with its dav modules, and rclone. Both serve a directory that a test can look into."""
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
    listen 127.0.0.1:{port}; client_max_body_size 0; root {dir}/data;
    location / {{ dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_methods PROPFIND OPTIONS; dav_access user:rw; }}
  }}
}}
"""
MODULE = "modules/ngx_http_dav_ext_module.so"


class NginxDav:
    def __init__(self, directory):
        self.dir, self.port = Path(directory), free_port()
        self.root, self.options, self.secrets = self.dir / "data", {}, {}

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
        (self.dir / "conf").write_text(NGINX.format(load=load, dir=self.dir, port=self.port, user=user))
        self.proc = Process([exe, "-c", str(self.dir / "conf"), "-p", str(self.dir), "-e", str(self.dir / "err")],
                            self.dir / "log", self.port)
        return self

    def url(self, path):
        return f"webdav://127.0.0.1:{self.port}/{path}"

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

    url = NginxDav.url
    stop = NginxDav.stop
