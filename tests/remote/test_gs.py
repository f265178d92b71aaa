"""Credentials of Google Cloud Storage: a service account signed here, a user's refresh token, the metadata server, nobody."""
import base64
import hashlib
import json
import subprocess

import places
import pytest
from places import round_trip
from servers.base import Missing, program


@pytest.fixture(scope="module")
def gcs(tmp_path_factory):
    try:
        s = places.start("gs", tmp_path_factory.mktemp("gcs"))
    except Missing as e:
        pytest.skip(str(e))
    yield s
    s.stop()


_count = iter(range(10**9))


@pytest.fixture
def repo_at(make_repo, gcs):
    def make(**options):
        name = f"t{next(_count)}"
        r = make_repo(name)
        r.env["NO_GCE_CHECK"] = "true"
        r.gd("remote", "add", "-q", "-d", "r", f"gs://buck/{name}")
        for k, v in {"endpointurl": gcs.endpoint, **options}.items():
            r.gd("remote", "modify", "-q", "--local", "r", k, str(v))
        r.write("f", b"three")
        r.gd("add", "f")
        r.keys = lambda: [k[len(name) + 1:] for k in gcs.keys(name + "/")]
        return r
    return make


def unpad(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@pytest.mark.parametrize("by", ["credentialpath", "environment"])
def test_a_service_account_signs_here(repo_at, tokens, tmp_path, by):
    subprocess.run([program("openssl"), "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out",
                    str(tmp_path / "key")], check=True, capture_output=True)
    (tmp_path / "sa.json").write_text(json.dumps({
        "type": "service_account", "client_email": "me@p.iam.gserviceaccount.com", "private_key_id": "kid1",
        "private_key": (tmp_path / "key").read_text(), "token_uri": tokens.url + "/token"}))
    r = repo_at(**({"credentialpath": tmp_path / "sa.json"} if by == "credentialpath" else {}))
    if by == "environment":
        r.env["GOOGLE_APPLICATION_CREDENTIALS"] = str(tmp_path / "sa.json")
    round_trip(r)
    form = tokens.seen[0][3]
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    head, claim, sig = form["assertion"].split(".")
    assert json.loads(unpad(head)) == {"alg": "RS256", "typ": "JWT", "kid": "kid1"}
    c = json.loads(unpad(claim))
    assert c["iss"] == "me@p.iam.gserviceaccount.com" and c["aud"] == tokens.url + "/token" and c["exp"] - c["iat"] == 3600
    (tmp_path / "sig").write_bytes(unpad(sig))
    (tmp_path / "text").write_text(f"{head}.{claim}")
    subprocess.run([program("openssl"), "pkey", "-in", str(tmp_path / "key"), "-pubout", "-out", str(tmp_path / "pub")],
                   check=True)
    out = subprocess.run([program("openssl"), "dgst", "-sha256", "-verify", str(tmp_path / "pub"), "-signature",
                          str(tmp_path / "sig"), str(tmp_path / "text")], capture_output=True, text=True)
    assert "Verified OK" in out.stdout
    tokens.refuse = True
    p = r.gd("push", "--check", code=None)
    assert p.code and "service account" in p.err and "no such client" in p.err


def test_a_users_refresh_token(repo_at, tokens, tmp_path):
    (tmp_path / "adc").mkdir()
    (tmp_path / "adc/u.json").write_text(json.dumps({
        "type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r",
        "token_uri": tokens.url}))
    r = repo_at(credentialpath=tmp_path / "adc/u.json")
    round_trip(r)
    assert tokens.seen[0][3] == {"grant_type": "refresh_token", "client_id": "c", "client_secret": "s",
                                 "refresh_token": "r"}


def test_anonymous_and_a_missing_bucket(repo_at):
    round_trip(repo_at(allow_anonymous_login="true"))
    r = repo_at(allow_anonymous_login="true")
    r.gd("remote", "modify", "r", "url", "gs://nothere/x")
    p = r.gd("push", code=None)
    assert p.code and "404" in p.err and "buckets create" in p.err


def test_etags_of_pushed_versions_are_the_references(repo_at):
    """Hexadecimal, of what the service gives in base64: else the reference takes every file for another one."""
    r = repo_at(allow_anonymous_login="true", version_aware="true")
    assert "1 file pushed" in r.gd("push").out
    assert "etag: " + hashlib.md5(b"three").hexdigest() in r.text("f.dvc")      # what the emulator makes its etags of
    before = r.text("f.dvc")
    r.env.update(GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT="false")
    assert "Everything is up to date." in r.dvc("push").out
    assert r.text("f.dvc") == before


def test_bad_credential_files_are_named(repo_at, tmp_path):
    (tmp_path / "x.json").write_text('{"type": "external_account"}')
    r = repo_at(credentialpath=tmp_path / "x.json")
    p = r.gd("push", code=None)
    assert p.code and "x.json" in p.err and "external_account" in p.err
    (tmp_path / "x.json").write_text("nonsense")
    p = r.gd("push", code=None)
    assert p.code and "x.json" in p.err
