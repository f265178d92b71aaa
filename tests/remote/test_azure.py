"""Every way to prove who we are to Azure Blob, and a large blob that goes on where it was killed."""
import os
import subprocess
import time
from pathlib import Path

import pytest
from servers.azurite import ACCOUNT, KEY, Azurite, sas
from servers.base import Missing, program
from servers.tokens import Tokens, jwt
from test_contract import key_of

GIT_DATA = os.environ.get("GIT_DATA") or str(Path(__file__).resolve().parents[2] / "build/release/git-data")


@pytest.fixture(scope="module")
def azurite(tmp_path_factory):
    """With TLS and tokens."""
    d = tmp_path_factory.mktemp("azurite")
    try:
        subprocess.run([program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                        "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(d / "key.pem"), "-out",
                        str(d / "cert.pem")], check=True, capture_output=True)
        s = Azurite(d, tls=(d / "cert.pem", d / "key.pem")).start()
    except Missing as e:
        pytest.skip(str(e))
    yield s
    s.stop()


@pytest.fixture
def tokens():
    t = Tokens()
    yield t
    t.stop()


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
        r.blobs = lambda: [k[len(name) + 1:] for k in azurite.keys(name + "/")]
        return r
    return make


def works(r):
    r.gd("push")
    assert r.blobs() == [key_of(b"three")]
    r.rm("f")
    r.rm(".dvc/cache")
    r.gd("pull")
    assert r.read("f") == b"three"


def test_connection_string_account_key_and_sas(repo_at, azurite):
    works(repo_at(connection_string=azurite.connection_string))
    works(repo_at(account_name=ACCOUNT, account_key=KEY))
    works(repo_at(account_name=ACCOUNT, sas_token=sas()))
    works(repo_at(account_name=ACCOUNT, sas_token="?" + sas()))
    works(repo_at(connection_string=f"BlobEndpoint={azurite.endpoint};AccountName={ACCOUNT};SharedAccessSignature={sas()}"))


def test_environment_names(repo_at, azurite):
    r = repo_at()
    p = r.gd("push", code=None)
    assert p.code and "account_name or connection_string" in p.err
    r.env["AZURE_STORAGE_CONNECTION_STRING"] = azurite.connection_string
    works(r)
    q = repo_at()
    q.env.update(AZURE_STORAGE_ACCOUNT=ACCOUNT, AZURE_STORAGE_KEY=KEY)
    works(q)


def test_the_file_of_az(repo_at, tmp_path):
    (tmp_path / "az").mkdir()
    (tmp_path / "az/config").write_text(f"[cloud]\nname = x\n[storage]\naccount = {ACCOUNT}\nkey = {KEY}\n")
    r = repo_at()
    r.env["AZURE_CONFIG_DIR"] = str(tmp_path / "az")
    works(r)


def test_service_principal(repo_at, tokens):
    r = repo_at(account_name=ACCOUNT, tenant_id="ten", client_id="cli", client_secret="s3cret&=")
    r.env["AZURE_AUTHORITY_HOST"] = tokens.url
    works(r)
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
    works(r)
    assert tokens.seen[0][3]["client_assertion"] == "the-assertion"
    tokens.seen.clear()
    q = repo_at(account_name=ACCOUNT)
    q.env.update(IDENTITY_ENDPOINT=tokens.url + "/msi", IDENTITY_HEADER="hd")
    works(q)
    assert tokens.seen[0][1].startswith("/msi?api-version=2019-08-01&resource=https%3A%2F%2Fstorage.azure.com%2F")
    assert tokens.seen[0][2]["X-IDENTITY-HEADER"] == "hd"
    tokens.seen.clear()
    m = repo_at(account_name=ACCOUNT)
    m.env["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = tokens.url
    works(m)
    assert tokens.seen[0][2]["Metadata"] == "true"
    (tmp_path / "bin").mkdir()
    az = tmp_path / "bin/az"
    az.write_text(f"#!/bin/sh\necho '{{\"accessToken\": \"{jwt()}\", \"expires_on\": {int(time.time()) + 3600}}}'\n")
    az.chmod(0o755)
    a = repo_at(account_name=ACCOUNT, exclude_managed_identity_credential="true")
    a.env["PATH"] = f"{tmp_path / 'bin'}:{a.env['PATH']}"
    works(a)


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


def test_a_large_blob_goes_on_where_it_was_killed(repo_at, azurite):
    r = repo_at(os.urandom(1 << 20) * 160, connection_string=azurite.connection_string)
    p = subprocess.Popen([GIT_DATA, "push"], cwd=r.path, env=r.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.9)
    p.kill()
    p.wait()
    r.gd("push")
    r.rm("f")
    r.rm(".dvc/cache")
    r.gd("pull")
    assert len(r.read("f")) == 160 << 20
