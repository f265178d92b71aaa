"""Every link of the chain of credentials, to the point where a service takes the keys: MinIO's tokens are real."""
import json
import shlex
import subprocess
import sys

import pytest
from conftest import s3_place
from servers import s3 as s3_server
from servers.awsmeta import AwsMeta
from servers.base import Missing
from servers.faultproxy import FaultProxy
from servers.moto import Moto


@pytest.fixture(scope="module")
def minio(tmp_path_factory):
    if not s3_server.find("minio"):
        pytest.skip("minio is not installed")
    s = s3_server.S3Server("minio", tmp_path_factory.mktemp("minio")).start()
    yield s
    s.stop()


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    try:
        m = Moto(tmp_path_factory.mktemp("moto"))
    except Missing as e:
        pytest.skip(str(e))
    yield m
    m.stop()


def sts(server):
    import boto3
    return boto3.client("sts", endpoint_url=server.url, aws_access_key_id=s3_server.ACCESS,
                        aws_secret_access_key=s3_server.SECRET, region_name="us-east-1")


@pytest.fixture(scope="module")
def session(minio):
    """Keys with a token, made by MinIO."""
    keys = sts(minio).assume_role(RoleArn="arn:aws:iam::123456789012:role/app", RoleSessionName="tests")["Credentials"]
    assert keys["SessionToken"]
    return lambda: keys


_count = iter(range(10**9))


@pytest.fixture
def data(make_repo, minio):
    """Something to push to MinIO; the remote itself has no keys."""
    r = make_repo()
    r.prefix = f"c{next(_count)}"
    r.gd("remote", "add", "-q", "-d", "r", f"s3://bucket/{r.prefix}")
    r.gd("remote", "modify", "-q", "r", "endpointurl", minio.url)
    for i in range(5):
        r.write(f"d/{i}", b"%d" % i)
    r.gd("add", "d")
    r.env["AWS_EC2_METADATA_DISABLED"] = "true"
    return r


def aws_files(r, config="", credentials=""):
    r.write("../home/.aws/config", config)
    r.write("../home/.aws/credentials", credentials)


def works(r, minio, whose):
    """Push and pull, and the tool names where the keys came from."""
    assert r.gd("push").out == "6 files pushed\n"
    assert len(minio.keys(r.prefix + "/")) == 6
    before = r.snapshot()
    for name in ("d", ".dvc/cache"):
        r.rm(name)
    r.gd("pull")
    assert r.snapshot() == before
    assert whose in r.gd("remote", "check").out


BASE = f"[base]\naws_access_key_id = {s3_server.ACCESS}\naws_secret_access_key = {s3_server.SECRET}\n"
ROLE = "[profile app]\nrole_arn = arn:aws:iam::123456789012:role/app\nsource_profile = base\nregion = us-east-1\n"


@pytest.mark.parametrize("where", ["endpoint_url", "services", "environment"])
def test_a_role_is_taken_with_the_keys_of_its_source_profile(data, minio, where):
    text = ROLE
    if where == "endpoint_url":
        text += f"endpoint_url = {minio.url}\n"
    elif where == "services":
        text += f"services = here\n[services here]\nsts =\n  endpoint_url = {minio.url}\n"
    else:
        data.env["AWS_ENDPOINT_URL_STS"] = minio.url
    aws_files(data, text, BASE)
    data.gd("remote", "modify", "-q", "r", "profile", "app")
    works(data, minio, "the role of the AWS profile")
    if where == "services":
        assert data.dvc("status", "-c").out == "Cache and remote 'r' are in sync.\n"


def test_wrong_keys_of_a_role_are_an_error_that_names_it(data, minio):
    aws_files(data, ROLE + f"endpoint_url = {minio.url}\n", BASE.replace("secret_access_key = ", "secret_access_key = x"))
    data.env["AWS_PROFILE"] = "app"
    p = data.gd("push", code=None)
    assert p.code not in (0, 252) and "the role of the AWS profile" in p.err and s3_server.SECRET not in p.err
    assert not minio.keys(data.prefix + "/")


@pytest.mark.parametrize("how", ["environment", "remote", "credentials file"])
def test_a_session_token_is_sent(data, minio, session, how):
    k = session()
    if how == "environment":
        data.env.update(AWS_ACCESS_KEY_ID=k["AccessKeyId"], AWS_SECRET_ACCESS_KEY=k["SecretAccessKey"],
                        AWS_SESSION_TOKEN=k["SessionToken"])
    elif how == "remote":
        for name, value in (("access_key_id", "AccessKeyId"), ("secret_access_key", "SecretAccessKey"),
                            ("session_token", "SessionToken")):
            data.gd("remote", "modify", "-q", "--local", "r", name, k[value])
    else:
        aws_files(data, "", f"[default]\naws_access_key_id={k['AccessKeyId']}\n"
                            f"aws_secret_access_key={k['SecretAccessKey']}\naws_session_token={k['SessionToken']}\n")
    works(data, minio, {"environment": "the environment", "remote": "the remote's", "credentials file": "the AWS profile"}[how])


def test_a_token_that_is_no_good_stops_at_once(data, minio, session):
    k = session()
    data.env.update(AWS_ACCESS_KEY_ID=k["AccessKeyId"], AWS_SECRET_ACCESS_KEY=k["SecretAccessKey"], AWS_SESSION_TOKEN="rubbish")
    p = data.gd("push", code=None)
    assert p.code not in (0, 252) and "the environment" in p.err and "rubbish" not in p.err
    assert not minio.keys(data.prefix + "/")


def test_credential_process(data, minio, session):
    k = session()
    out = {"Version": 1, "AccessKeyId": k["AccessKeyId"], "SecretAccessKey": k["SecretAccessKey"],
           "SessionToken": k["SessionToken"], "Expiration": "2099-01-01T00:00:00+00:00"}
    prog = data.write("../home/my keys.py", f"import sys\nassert sys.argv[1] == 'two words'\nprint({json.dumps(out)!r})\n")
    aws_files(data, f"[profile p]\ncredential_process = {shlex.quote(sys.executable)} \"{prog}\" 'two words'\n")
    data.env["AWS_PROFILE"] = "p"
    works(data, minio, "credential_process")
    assert data.dvc("status", "-c").out == "Cache and remote 'r' are in sync.\n"
    prog.write_text("import sys\nsys.exit(3)\n")
    p = data.gd("push", code=None)
    assert p.code not in (0, 252) and "credential_process" in p.err and "status 3" in p.err


@pytest.fixture
def meta(session):
    servers = []

    def make(**kw):
        servers.append(AwsMeta(session, **kw))
        return servers[-1]
    yield make
    for s in servers:
        s.stop()


@pytest.mark.parametrize("token", ["variable", "file"])
def test_container_by_full_address(data, minio, meta, token):
    m = meta(token="Bearer s3cr3t")
    data.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{m.url}/creds?x=1"
    if token == "file":
        data.env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = str(data.write("../token", "Bearer s3cr3t\n"))
    else:
        data.env["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "Bearer s3cr3t"
    works(data, minio, "container credentials")
    assert set(m.seen) == {("GET", "/creds?x=1")}
    data.env["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "other"
    data.env.pop("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", None)
    p = data.gd("push", code=None)
    assert p.code not in (0, 252) and "container credentials: HTTP 401" in p.err and "s3cr3t" not in p.err


def test_container_over_plain_http_to_a_stranger_is_refused(data):
    data.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://192.0.2.1/creds"
    p = data.gd("push", code=None)
    assert p.code not in (0, 252) and "must not be asked over http" in p.err


REDIRECT = r"""
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/socket.h>
/* What goes to 169.254.x.x, port 80, goes to a port of this machine. */
int connect(int fd, const struct sockaddr *a, socklen_t n)
{
    int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
    struct sockaddr_in in;
    if (a->sa_family != AF_INET || (ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 16) != 0xa9fe)
        return real(fd, a, n);
    in = *(const struct sockaddr_in *)a;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in.sin_port = htons((unsigned short)atoi(getenv("META_PORT")));
    return real(fd, (const struct sockaddr *)&in, sizeof(in));
}
"""


@pytest.fixture
def link_local(data, tmp_path):
    """The addresses of the cloud lead to a port of ours."""
    (tmp_path / "redirect.c").write_text(REDIRECT)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "redirect.so", tmp_path / "redirect.c", "-ldl"], check=True)

    def to(port):
        data.env.update(LD_PRELOAD=str(tmp_path / "redirect.so"), META_PORT=str(port))
    return to


def test_container_by_relative_address(data, minio, meta, link_local):
    m = meta()
    link_local(m.port)
    data.env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = "/v2/credentials/abc"
    works(data, minio, "container credentials")
    assert set(m.seen) == {("GET", "/v2/credentials/abc")}


@pytest.mark.parametrize("how", ["address", "endpoint"])
def test_instance_metadata_give_keys_that_work(data, minio, meta, link_local, how):
    m = meta()
    del data.env["AWS_EC2_METADATA_DISABLED"]
    if how == "address":
        link_local(m.port)
    else:
        data.env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = m.url + "/"
    works(data, minio, "instance metadata")
    assert m.seen[0] == ("PUT", "/latest/api/token")


def test_instance_metadata_as_moto_has_them(data, moto):
    del data.env["AWS_EC2_METADATA_DISABLED"]
    data.env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = moto.url
    data.gd("remote", "modify", "-q", "r", "endpointurl", moto.url)
    assert data.gd("push").out == "6 files pushed\n"
    assert "instance metadata" in data.gd("remote", "check").out
    assert "PUT /latest/api/token" in moto.log()


@pytest.mark.parametrize("how", ["environment", "profile"])
def test_web_identity(data, moto, how):
    token = data.write("../token", "header.payload.signature\n")
    role = "arn:aws:iam::123456789012:role/ci"
    if how == "environment":
        data.env.update(AWS_WEB_IDENTITY_TOKEN_FILE=str(token), AWS_ROLE_ARN=role)
    else:
        aws_files(data, f"[default]\nrole_arn = {role}\nweb_identity_token_file = {token}\n")
    data.env["AWS_ENDPOINT_URL_STS"] = moto.url
    data.gd("remote", "modify", "-q", "r", "endpointurl", moto.url)
    assert data.gd("push").out == "6 files pushed\n"
    assert "web identity" in data.gd("remote", "check").out
    token.unlink()
    p = data.gd("push", code=None)
    assert p.code not in (0, 252) and "web identity token" in p.err


def test_keys_that_end_in_mid_transfer_are_renewed_once(data, minio):
    """The server says of many requests in flight that the token is over: one new session is asked for."""
    for i in range(200):
        data.write(f"d/more{i}", b"more %d" % i)
    data.gd("add", "d")
    with FaultProxy("127.0.0.1", minio.port) as proxy:
        aws_files(data, ROLE + f"endpoint_url = {proxy.url}\n", BASE)
        data.env["AWS_PROFILE"] = "app"
        data.gd("remote", "modify", "-q", "r", "endpointurl", proxy.url)
        data.gd("push", "d/1")
        proxy.clear()
        f = proxy.fault(do="status", status=400, code="ExpiredToken", method="PUT", path="/files/md5/", times=4)
        assert data.gd("push").out == "204 files pushed\n"
        assert f.hits == 4
        assert sum(m == "POST" for m, _ in proxy.seen) == 2, "one session at first, one when it was over"
        assert len(minio.keys(data.prefix + "/")) == 206
        # And in the middle of reading.
        data.rm("d")
        data.rm(".dvc/cache")
        proxy.clear()
        f = proxy.fault(do="status", status=400, code="ExpiredToken", method="GET", path=r"/files/md5/../\w{30}$", times=1)
        data.gd("pull")
        assert f.hits == 1 and sum(m == "POST" for m, _ in proxy.seen) == 2
        assert data.read("d/more7") == b"more 7"


def test_keys_that_end_and_cannot_be_renewed(data, minio, session):
    k = session()
    with FaultProxy("127.0.0.1", minio.port) as proxy:
        data.env.update(AWS_ACCESS_KEY_ID=k["AccessKeyId"], AWS_SECRET_ACCESS_KEY=k["SecretAccessKey"],
                        AWS_SESSION_TOKEN=k["SessionToken"])
        data.gd("remote", "modify", "-q", "r", "endpointurl", proxy.url)
        proxy.fault(do="status", status=400, code="ExpiredToken", method="PUT", path="/files/md5/", every=1)
        p = data.gd("push", code=None)
        assert p.code not in (0, 252) and "ExpiredToken" in p.err and "the environment" in p.err
        assert sum(m == "PUT" for m, _ in proxy.seen) < 20


def test_keys_that_end_soon_are_renewed_before_they_do(data, minio, meta):
    """Less than five minutes are left: asked again, but not for every request."""
    m = meta(ends_in=120)
    data.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{m.url}/creds"
    works(data, minio, "container credentials")
    assert len(m.seen) <= 3, "one question a command"


def test_one_profile_chain_ends(data, minio):
    """Roles that name each other are an error, not a loop."""
    aws_files(data, "[profile a]\nrole_arn = arn:aws:iam::123456789012:role/app\nsource_profile = b\n"
                    f"[profile b]\nrole_arn = arn:aws:iam::123456789012:role/app\nsource_profile = a\nendpoint_url = {minio.url}\n")
    data.env["AWS_PROFILE"] = "a"
    p = data.gd("push", code=None)
    assert p.code not in (0, 252) and "refers to itself" in p.err


def test_the_place_of_the_contract_is_reached_with_a_token(make_repo, minio, session):
    """The whole listing, deleting and reading with a session: what gc needs."""
    r = make_repo()
    place = s3_place(minio, f"c{next(_count)}")
    place.secrets.update(zip(("access_key_id", "secret_access_key", "session_token"),
                             (session()[k] for k in ("AccessKeyId", "SecretAccessKey", "SessionToken"))))
    place.add_to(r)
    r.write("f", b"1")
    r.gd("add", "f")
    r.gd("push")
    r.write("f", b"2")
    r.gd("add", "f")
    r.gd("push")
    r.gd("gc", "-w", "-c", "-f")
    assert len(place.keys()) == 1
