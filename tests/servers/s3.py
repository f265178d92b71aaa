"""SeaweedFS, versitygw or MinIO as an S3 server on loopback. S3_SERVER chooses ("weed", "versitygw", "minio"); default: what
is there."""
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from servers.base import Missing, free_port, program

ACCESS, SECRET = "AKIDEXAMPLE", "not/a+secret"


def find(name):
    """Also beside the interpreter, where pip puts programs; None when it is nowhere."""
    beside = Path(sys.executable).parent / name
    if beside.is_file():
        return str(beside)
    try:
        return program(name)
    except Missing:
        return None


def low_port():
    """SeaweedFS also listens on the port 10000 above."""
    while True:
        p = free_port()
        if p < 55000:
            return p


def client(url):
    import boto3
    from botocore.config import Config
    return boto3.client("s3", endpoint_url=url, aws_access_key_id=ACCESS, aws_secret_access_key=SECRET,
                        region_name="us-east-1",
                        config=Config(s3={"addressing_style": "path"}, signature_version="s3v4", retries={"max_attempts": 1}))


class S3Server:
    def __init__(self, kind, directory):
        self.kind, self.dir, self.port = kind, Path(directory), low_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def _argv(self):
        if self.kind == "versitygw":
            for d in ("data", "side", "versions"):
                (self.dir / d).mkdir(parents=True, exist_ok=True)
            return [find("versitygw"), "--access", ACCESS, "--secret", SECRET, "--region", "us-east-1", "--port",
                    f"127.0.0.1:{self.port}", "--keep-alive", "posix", "--sidecar", str(self.dir / "side"),
                    "--versioning-dir", str(self.dir / "versions"),
                    str(self.dir / "data")]
        if self.kind == "minio":
            (self.dir / "data").mkdir(exist_ok=True)
            return [find("minio"), "server", "--quiet", "--anonymous", "--address", f"127.0.0.1:{self.port}",
                    "--console-address", f"127.0.0.1:{free_port()}", "--config-dir", str(self.dir / "config"),
                    str(self.dir / "data")]
        conf = self.dir / "s3.json"
        conf.write_text(json.dumps({"identities": [{
            "name": "t", "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}))
        (self.dir / "data").mkdir(exist_ok=True)
        ports = [low_port() for _ in range(3)]
        return [find("weed"), "server", f"-dir={self.dir}/data", "-ip=127.0.0.1", f"-master.port={ports[0]}",
                f"-volume.port={ports[1]}", f"-filer.port={ports[2]}", "-s3", f"-s3.port={self.port}",
                f"-s3.config={conf}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false",
                "-volume.max=500", "-master.volumeSizeLimitMB=100"]

    def start(self):
        self.dir.mkdir(parents=True, exist_ok=True)
        self.log = open(self.dir / "log", "wb")
        env = {**os.environ, "HOME": str(self.dir), "MINIO_ROOT_USER": ACCESS, "MINIO_ROOT_PASSWORD": SECRET,
               "MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}
        self.proc = subprocess.Popen(self._argv(), stdout=self.log, stderr=self.log, cwd=self.dir, env=env)
        end = time.time() + 60
        while True:
            try:
                self.client = client(self.url)
                self.client.create_bucket(Bucket="bucket")
                self.client.put_object(Bucket="bucket", Key="ready", Body=b"x")
                self.client.delete_object(Bucket="bucket", Key="ready")
                return self
            except Exception:
                assert self.proc.poll() is None, (self.dir / "log").read_text(errors="replace")[-2000:]
                assert time.time() < end, "the S3 server does not come up"
                time.sleep(0.3)

    def stop(self):
        self.proc.kill()        # SeaweedFS takes its time otherwise
        self.proc.wait()
        self.log.close()

    def keys(self, prefix=""):
        out = []
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix=prefix):
            out += [o["Key"] for o in page.get("Contents", [])]
        return sorted(out)


def kinds():
    wanted = os.environ.get("S3_SERVER")
    have = [k for k, prog in (("weed", "weed"), ("minio", "minio"), ("versitygw", "versitygw")) if find(prog)]
    return [wanted] if wanted else have
