"""The servers of the contract suite: each gives `place()`, a fresh URL with the options that a remote needs."""
import shutil
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

import places  # noqa: E402
from servers import s3 as s3_server  # noqa: E402
from servers.faultproxy import FaultProxy  # noqa: E402
from servers.tokens import Tokens  # noqa: E402



class Place:
    """Where one test's remote lives."""

    def __init__(self, url, options=(), secrets=(), keys=None, read=None, write=None, delete=None, prepare=None, env=()):
        self.url, self.options, self.secrets = url, dict(options), dict(secrets)
        self.prepare, self.env = prepare, dict(env)
        self.keys, self.read, self.write, self.delete = keys, read, write, delete

    def add_to(self, repo, name="r", tool="gd", **more):
        repo.env.update(self.env)
        if self.prepare:
            self.prepare(repo)
        repo.tool(tool, "remote", "add", "-q", "-f", "-d", name, self.url)
        for k, v in {**self.options, **more}.items():
            repo.tool(tool, "remote", "modify", "-q", name, k, v)
        for k, v in self.secrets.items():
            repo.tool(tool, "remote", "modify", "-q", "--local", name, k, v)


_servers = {}


# Built from Go modules: only where a Go toolchain is, or the program itself.
GO_BUILT = {"versitygw": "versitygw", "minio": "minio", "gs": "fake-gcs-server"}


def _wanted(kind):
    return kind not in GO_BUILT or shutil.which("go") or s3_server.find(GO_BUILT[kind])


collect_ignore = ([] if places.HAVE_GS else ["test_gs.py"]) + ([] if _wanted("minio") else ["test_credentials.py"])


@pytest.fixture(scope="session", params=[k for k in ("local", "weed", "versitygw", "minio", *places.KINDS) if _wanted(k)])
def server(request, tmp_path_factory):
    kind = request.param
    if kind == "local":
        yield None
        return
    if kind in places.KINDS:
        try:
            s = places.start(kind, tmp_path_factory.mktemp(kind))
        except places.Missing as e:
            pytest.skip(str(e))
        s.kind = kind
        yield s
        s.stop()
        return
    if not s3_server.find(kind):
        pytest.skip(f"{kind} is not installed")
    s = s3_server.S3Server(kind, tmp_path_factory.mktemp(kind)).start()
    yield s
    s.stop()


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    kinds = s3_server.kinds()
    if not kinds:
        pytest.skip("no S3 server is installed (weed, minio or versitygw)")
    s = s3_server.S3Server(kinds[-1], tmp_path_factory.mktemp("s3")).start()
    yield s
    s.stop()


def local_place(path):
    path = Path(path)

    def write(key, data):
        p = path / key
        p.parent.mkdir(parents=True, exist_ok=True)
        if p.exists():
            p.unlink()
        p.write_bytes(data)
        p.chmod(0o444)

    return Place(str(path), keys=lambda: sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()),
                 read=lambda key: (path / key).read_bytes(), write=write, delete=lambda key: (path / key).unlink())


def s3_place(server, prefix, url=None):
    c = server.client
    return Place(f"s3://bucket/{prefix}", {"endpointurl": url or server.url},
                 {"access_key_id": s3_server.ACCESS, "secret_access_key": s3_server.SECRET},
                 keys=lambda: [k[len(prefix) + 1:] for k in server.keys(prefix + "/")],
                 read=lambda key: c.get_object(Bucket="bucket", Key=f"{prefix}/{key}")["Body"].read(),
                 write=lambda key, data: c.put_object(Bucket="bucket", Key=f"{prefix}/{key}", Body=data),
                 delete=lambda key: c.delete_object(Bucket="bucket", Key=f"{prefix}/{key}"))


_count = iter(range(10**9))


@pytest.fixture
def place(server, tmp_path):
    if server is None:
        return local_place(tmp_path / "remote")
    if server.kind in places.KINDS:
        return Place(**places.place_of(server.kind, server, f"t{next(_count)}/pre fix"))
    return s3_place(server, f"t{next(_count)}/pre fix+ü")


@pytest.fixture
def faults(s3):
    with FaultProxy("127.0.0.1", s3.port) as p:
        p.place = s3_place(s3, f"f{next(_count)}", p.url)
        yield p


@pytest.fixture
def tokens():
    t = Tokens()
    yield t
    t.stop()
