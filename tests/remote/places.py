"""Servers beyond S3 for the contract suite: kind -> a started server; place_of(kind, server, name) -> keyword arguments of Place."""
import hashlib
import shutil
from pathlib import Path

from servers.azurite import Azurite
from servers.base import Missing
from servers.dav import NginxDav, RcloneDav
from servers.gcs import FakeGcs
from servers.sshd import Sshd

# fake-gcs-server comes by Go alone: without either it is not part of the suite at all (tests/setup.sh says so).
HAVE_GS = bool(shutil.which("fake-gcs-server") or shutil.which("go"))
KINDS = ("ssh", "ssh-program", "dav-nginx", "dav-rclone", "azure", *(["gs"] if HAVE_GS else []))
MAKE = {"ssh": Sshd, "ssh-program": lambda d: Sshd(d, host=("rsa",)), "dav-nginx": NginxDav, "dav-rclone": RcloneDav,
        "azure": Azurite, "gs": FakeGcs}
__all__ = ["HAVE_GS", "KINDS", "Missing", "fill", "place_of", "round_trip", "start"]


def start(kind, directory):
    return MAKE[kind](directory).start()


def round_trip(r):
    """What r tracks as "f" gets to its remote, which holds nothing else, and back; r.keys() lists the remote."""
    data = r.read("f")
    h = hashlib.md5(data).hexdigest()
    r.gd("push")
    assert r.keys() == [f"files/md5/{h[:2]}/{h[2:]}"]
    r.rm("f")
    r.rm(".dvc/cache")
    r.gd("pull")
    assert r.read("f") == data


def fill(r, url, files, options):
    """A repository with a default remote 'r' and these files added."""
    r.gd("remote", "add", "-q", "-d", "r", url)
    for k, v in options.items():
        r.gd("remote", "modify", "-q", "--local", "r", k, str(v))
    for n, d in files.items():
        r.write(n, d)
    r.gd("add", *sorted({n.split("/")[0] for n in files}))
    return r


def _files(path):
    """What lies in a directory that the server serves."""
    path = Path(path)

    def write(key, data):
        p = path / key
        p.parent.mkdir(parents=True, exist_ok=True)
        p.write_bytes(data)

    return dict(keys=lambda: sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()),
                read=lambda key: (path / key).read_bytes(), write=write, delete=lambda key: (path / key).unlink())


def _ssh(kind, s, name):
    path = s.dir / "remotes" / name
    key = s.keys["rsa" if kind == "ssh-program" else "ed25519"]
    line = s.host_line("rsa" if kind == "ssh-program" else "ed25519")
    return dict(url=s.url(path), options={"keyfile": str(key)}, prepare=lambda repo: s.known_to(repo.env["HOME"], line),
                **_files(path))


def _dav(kind, s, name):
    # The reference cannot make the base collection itself; that we can is test_webdav's matter.
    return dict(url=s.url(name), options=s.options, secrets=s.secrets, **_files(s.root / name),
                prepare=lambda repo: (s.root / name).mkdir(parents=True, exist_ok=True))


def _objects(s, name):
    return dict(keys=lambda: [k[len(name) + 1:] for k in s.keys(name + "/")], read=lambda key: s.read(f"{name}/{key}"),
                write=lambda key, data: s.write(f"{name}/{key}", data), delete=lambda key: s.delete(f"{name}/{key}"))


def _azure(kind, s, name):
    return dict(url=f"azure://cont/{name}", secrets={"connection_string": s.connection_string}, **_objects(s, name))


def _gs(kind, s, name):
    # The reference asks by gRPC what kind of bucket it is, for a minute, unless told not to.
    return dict(url=f"gs://buck/{name}", options={"endpointurl": s.endpoint, "allow_anonymous_login": "true"},
                env={"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false", "STORAGE_EMULATOR_HOST": s.endpoint}, **_objects(s, name))


def place_of(kind, server, name):
    make = {"azure": _azure, "gs": _gs}.get(kind) or (_ssh if kind.startswith("ssh") else _dav)
    return make(kind, server, name)
