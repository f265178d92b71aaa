"""Every way to prove who we are to Azure Blob."""
import subprocess
import time

import pytest
from places import round_trip
from servers.azblobs import AzBlobs
from servers.azurite import ACCOUNT, KEY, Azurite, sas
from servers.base import Missing, program
from servers.tokens import jwt
from test_contract import key_of



def certificate(d):
    d.mkdir(exist_ok=True)
    subprocess.run([program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                    "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(d / "key.pem"), "-out",
                    str(d / "cert.pem")], check=True, capture_output=True)
    return d / "cert.pem", d / "key.pem"


@pytest.fixture(scope="module")
def azurite(tmp_path_factory):
    """With TLS and tokens."""
    d = tmp_path_factory.mktemp("azurite")
    try:
        s = Azurite(d, tls=certificate(d)).start()
    except Missing as e:
        pytest.skip(str(e))
    yield s
    s.stop()


_count = iter(range(10**9))


@pytest.fixture
def repo_at(make_repo, azurite):
    def make(data=b"three", **options):
        name = f"t{next(_count)}"
        r = make_repo(name)
        r.env.update({k: str(azurite.tls[0]) for k in ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")},
                     GIT_DATA_AZURE_ENDPOINT=azurite.endpoint)
        r.gd("remote", "add", "-q", "-d", "r", f"azure://cont/{name}")
        for k, v in options.items():
            r.gd("remote", "modify", "-q", "--local", "r", k, v)
        r.write("f", data)
        r.gd("add", "f")
        r.keys = lambda: [k[len(name) + 1:] for k in azurite.keys(name + "/")]
        return r
    return make


def test_connection_string_account_key_and_sas(repo_at, azurite):
    round_trip(repo_at(connection_string=azurite.connection_string))
    round_trip(repo_at(account_name=ACCOUNT, account_key=KEY))
    round_trip(repo_at(account_name=ACCOUNT, sas_token=sas()))
    round_trip(repo_at(account_name=ACCOUNT, sas_token="?" + sas()))
    round_trip(repo_at(connection_string=f"BlobEndpoint={azurite.endpoint};AccountName={ACCOUNT};SharedAccessSignature={sas()}"))


def test_environment_names(repo_at, azurite):
    r = repo_at()
    p = r.gd("push", code=None)
    assert p.code and "account_name or connection_string" in p.err
    r.env["AZURE_STORAGE_CONNECTION_STRING"] = azurite.connection_string
    round_trip(r)
    q = repo_at()
    q.env.update(AZURE_STORAGE_ACCOUNT=ACCOUNT, AZURE_STORAGE_KEY=KEY)
    round_trip(q)


def test_the_file_of_az(repo_at, tmp_path):
    (tmp_path / "az").mkdir()
    (tmp_path / "az/config").write_text(f"[cloud]\nname = x\n[storage]\naccount = {ACCOUNT}\nkey = {KEY}\n")
    r = repo_at()
    r.env["AZURE_CONFIG_DIR"] = str(tmp_path / "az")
    round_trip(r)


def test_service_principal(repo_at, tokens):
    r = repo_at(account_name=ACCOUNT, tenant_id="ten", client_id="cli", client_secret="s3cret&=")
    r.env["AZURE_AUTHORITY_HOST"] = tokens.url
    round_trip(r)
    method, path, _, form = tokens.seen[0]
    assert (method, path) == ("POST", "/ten/oauth2/v2.0/token")
    assert form == {"grant_type": "client_credentials", "client_id": "cli", "scope": "https://storage.azure.com/.default",
                    "client_secret": "s3cret&="}
    assert len(tokens.seen) <= 3, "one token serves a whole command"
    tokens.refuse = True
    p = r.gd("push", "--check", code=None)
    assert p.code and "service principal" in p.err and "401" in p.err and "s3cret" not in p.err


def test_workload_and_managed_identity_and_az(repo_at, tokens, tmp_path):
    (tmp_path / "jwt").write_text("the-assertion\n")
    r = repo_at(account_name=ACCOUNT)
    r.env.update(AZURE_AUTHORITY_HOST=tokens.url, AZURE_TENANT_ID="ten", AZURE_CLIENT_ID="cli",
                 AZURE_FEDERATED_TOKEN_FILE=str(tmp_path / "jwt"))
    round_trip(r)
    assert tokens.seen[0][3]["client_assertion"] == "the-assertion"
    tokens.seen.clear()
    q = repo_at(account_name=ACCOUNT)
    q.env.update(IDENTITY_ENDPOINT=tokens.url + "/msi", IDENTITY_HEADER="hd")
    round_trip(q)
    assert tokens.seen[0][1].startswith("/msi?api-version=2019-08-01&resource=https%3A%2F%2Fstorage.azure.com%2F")
    assert tokens.seen[0][2]["X-IDENTITY-HEADER"] == "hd"
    tokens.seen.clear()
    m = repo_at(account_name=ACCOUNT)
    m.env["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = tokens.url
    round_trip(m)
    assert tokens.seen[0][2]["Metadata"] == "true"
    (tmp_path / "bin").mkdir()
    az = tmp_path / "bin/az"
    az.write_text(f"#!/bin/sh\necho '{{\"accessToken\": \"{jwt()}\", \"expires_on\": {int(time.time()) + 3600}}}'\n")
    az.chmod(0o755)
    a = repo_at(account_name=ACCOUNT, exclude_managed_identity_credential="true")
    a.env["PATH"] = f"{tmp_path / 'bin'}:{a.env['PATH']}"
    round_trip(a)


def test_nobody_is_told_what_to_type(repo_at):
    r = repo_at(account_name=ACCOUNT, allow_anonymous_login="true")
    p = r.gd("push", code=None)
    assert p.code and "az login" in p.err
    r = repo_at(account_name=ACCOUNT, account_key=KEY.replace("Eby8", "AAAA"))
    p = r.gd("push", code=None)
    assert p.code and "HTTP 40" in p.err and "Authentication" in p.err
    r = repo_at(account_name=ACCOUNT, account_key=KEY)
    r.gd("remote", "modify", "r", "url", "azure://nothere/x")
    p = r.gd("push", code=None)
    assert p.code and "ContainerNotFound" in p.err and "az storage container create" in p.err


def test_a_public_container_is_read_by_anybody(repo_at, azurite):
    azurite.call("PUT", "pub", query="restype=container", **{"x-ms-blob-public-access": "container"})
    r = repo_at(connection_string=azurite.connection_string)
    r.gd("remote", "modify", "r", "url", "azure://pub/x")
    r.gd("push")
    r.gd("remote", "modify", "--local", "--unset", "r", "connection_string")
    r.gd("remote", "modify", "--local", "r", "account_name", ACCOUNT)
    r.gd("remote", "modify", "--local", "r", "allow_anonymous_login", "true")
    r.rm("f")
    r.rm(".dvc/cache")
    r.gd("pull")
    assert r.read("f") == b"three"
    r.write("f", b"other")
    r.gd("add", "f")
    p = r.gd("push", code=None)
    assert p.code and "40" in p.err and azurite.call("GET", "pub/x/" + key_of(b"three")) == b"three"


def test_an_empty_blob_that_cannot_be_a_file_is_not_left_out(repo_at, azurite):
    r = repo_at(connection_string=azurite.connection_string)
    name = r.gd("remote", "list").out.split("/")[-1].split()[0]
    azurite.write(f"{name}/d/a", b"a")
    azurite.write(f"{name}/d/" + "e" * 300, b"")
    p = r.gd("get-url", "remote://r/d", "out", code=None)
    assert p.code and "e" * 300 in p.err and not r.exists("out")


@pytest.mark.parametrize("option,pusher,puller", [("worktree", "gd", "gd"), ("version_aware", "gd", "dvc"),
                                                  ("version_aware", "dvc", "gd")])
def test_versions(make_repo, option, pusher, puller):
    """Files under their own names; an old pointer brings the old version."""
    s = AzBlobs()
    try:
        r = make_repo()
        r.gd("remote", "add", "-q", "-d", "va", "azure://cont/pre")
        r.gd("remote", "modify", "va", option, "true")
        r.gd("remote", "modify", "--local", "va", "connection_string", s.connection_string)
        r.write("d/a", b"1\n")
        r.write("d/sub/b", b"2\n")
        r.write("f", b"3\n")
        r.gd("add", "d", "f")
        assert r.tool(pusher, "push").out == "3 files pushed\n"
        assert sorted(s.blobs) == ["pre/d/a", "pre/d/sub/b", "pre/f"]
        assert s.blobs["pre/f"][0]["id"] in r.text("f.dvc") and "etag: " in r.text("f.dvc")
        assert r.gd("push").out == "Everything is up to date.\n"
        r.commit("old")
        r.write("d/a", b"changed\n")
        r.gd("add", "d")
        assert r.tool(pusher, "push").out == "1 file pushed\n"
        r.commit("new")
        for name in ("d", "f", ".dvc/cache"):
            r.rm(name)
        r.tool(puller, "pull")
        assert r.snapshot("d") == {"d/a": b"changed\n", "d/sub/b": b"2\n"} and r.read("f") == b"3\n"
        r.git("checkout", "-q", "HEAD~1", "--", "d.dvc")
        r.rm("d")
        r.rm(".dvc/cache")
        r.tool(puller, "pull")
        assert r.read("d/a") == b"1\n"
    finally:
        s.stop()
