"""The S3 servers of remotes.py, the tools that speak S3, and what the servers give at best."""
import os
import subprocess
import uuid

from remotes_common import put_away
from servers import s3
from servers.base import Missing, program

PART = 16 << 20
BUCKET = "bucket"


class Spot:
    """An empty place on a server: a prefix of the bucket."""

    def __init__(self, server, port):
        self.prefix = uuid.uuid4().hex[:12]
        self.url = f"s3://{BUCKET}/{self.prefix}"
        self.endpoint = f"http://127.0.0.1:{port}"
        self.options = {"endpointurl": self.endpoint, "access_key_id": s3.ACCESS, "secret_access_key": s3.SECRET,
                        "region": "us-east-1"}
        self.env = {}


class S3Kind:
    """See remotes.Kind for what each method promises."""

    def __init__(self, name):
        self.name = name
        if not s3.find(name):
            raise Missing(f"{name} is not installed")

    def start(self, directory):
        self.dir = directory
        self.server = s3.S3Server(self.name, directory).start()
        self.port, self.client = self.server.port, self.server.client
        return self

    def stop(self):
        self.server.stop()

    def fresh(self, port=None):
        return Spot(self, port or self.port)

    def objects(self, spot):
        out = {}
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=spot.prefix + "/"):
            for o in page.get("Contents", []):
                out[o["Key"][len(spot.prefix) + 1:]] = o["Size"]
        return out

    def remove(self, spot):
        if self.name == "versitygw":            # plain files
            put_away(self.dir / "data" / BUCKET / spot.prefix, self.dir / "aside")
            return
        keys = [f"{spot.prefix}/{k}" for k in self.objects(spot)]
        for i in range(0, len(keys), 1000):
            self.client.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": k} for k in keys[i:i + 1000]],
                                                              "Quiet": True})

    # the ceiling

    def _sign(self, what, port, **params):
        """A presigned URL; through a proxy it is still signed for that address."""
        c = self.client if port == self.port else s3.client(f"http://127.0.0.1:{port}")
        return c.generate_presigned_url(what, Params={"Bucket": BUCKET, **params}, ExpiresIn=86400)

    def ceilings(self, spot, direction, files, port):
        """Yields (name, lines of a plan for load.c, what to do after it)."""
        def key(f):
            return f"{spot.prefix}/{f.key}"

        def nothing():
            pass

        big = files[0].size > PART
        verb, what = ("PUT", "put_object") if direction == "push" else ("GET", "get_object")
        urls = {f.key: self._sign(what, port, Key=key(f)) for f in files}
        if verb == "PUT":
            yield "whole", [(verb, urls[f.key], f.path, 0, f.size) for f in files], nothing
        else:
            yield "whole", [(verb, urls[f.key], "", 0, f.size if big else 0) for f in files], nothing
        if not big:
            return
        if verb == "GET":
            yield "parts", [(verb, urls[f.key], "", at, min(PART, f.size - at))
                            for f in files for at in range(0, f.size, PART)], nothing
            return
        ids = {f.key: self.client.create_multipart_upload(Bucket=BUCKET, Key=key(f))["UploadId"] for f in files}

        def complete():
            for f in files:
                parts = self.client.list_parts(Bucket=BUCKET, Key=key(f), UploadId=ids[f.key])["Parts"]
                self.client.complete_multipart_upload(
                    Bucket=BUCKET, Key=key(f), UploadId=ids[f.key],
                    MultipartUpload={"Parts": [{k: p[k] for k in ("PartNumber", "ETag")} for p in parts]})

        yield "parts", [("PUT", self._sign("upload_part", port, Key=key(f), UploadId=ids[f.key], PartNumber=at // PART + 1),
                         f.path, at, min(PART, f.size - at)) for f in files for at in range(0, f.size, PART)], complete

    # tools that copy a tree of files

    def copiers(self):
        out = {}
        for name, make in (("rclone", self._rclone), ("s5cmd", self._s5cmd)):
            try:
                out[name] = (program(name), make)
            except Missing:
                print(f"  ({name} is not installed)", flush=True)
        return out

    @staticmethod
    def _rclone(prog, spot, direction, tree):
        env = {"RCLONE_CONFIG_R_TYPE": "s3", "RCLONE_CONFIG_R_PROVIDER": "Other", "RCLONE_CONFIG_R_ENDPOINT": spot.endpoint,
               "RCLONE_CONFIG_R_ACCESS_KEY_ID": s3.ACCESS, "RCLONE_CONFIG_R_SECRET_ACCESS_KEY": s3.SECRET,
               "RCLONE_CONFIG": os.devnull, "RCLONE_CONFIG_R_REGION": "us-east-1"}
        there = f"R:{BUCKET}/{spot.prefix}/files/md5"
        ends = [str(tree), there] if direction == "push" else [there, str(tree)]
        return [prog, "copy", "--no-traverse" if direction == "push" else "--fast-list", "--transfers", "32", "--checkers",
                "32", *ends], env

    @staticmethod
    def _s5cmd(prog, spot, direction, tree):
        env = {"AWS_ACCESS_KEY_ID": s3.ACCESS, "AWS_SECRET_ACCESS_KEY": s3.SECRET, "AWS_REGION": "us-east-1"}
        there = f"s3://{BUCKET}/{spot.prefix}/files/md5/"
        ends = [f"{tree}/", there] if direction == "push" else [there + "*", f"{tree}/"]
        return [prog, "--endpoint-url", spot.endpoint, "--log", "error", "--numworkers", "64", "cp", *ends], env


KINDS = {name: (lambda name=name: S3Kind(name)) for name in ("versitygw", "weed", "minio")}


def version(name):
    try:
        out = subprocess.run([s3.find(name), "version" if name == "weed" else "--version"], capture_output=True, text=True)
    except (OSError, TypeError):
        return name
    return f"{name}: {out.stdout.splitlines()[0].strip()}" if out.stdout else name
