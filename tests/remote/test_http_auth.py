"""HTTP and WebDAV: digest, client certificates, certificate authorities, passwords that are asked for."""
import os
import pty
import select
import time

import pytest
from servers.base import Missing
from servers.dav import NginxDav
from servers.digest import Digest
from servers.tls import Authority
from harness import GIT_DATA
from test_contract import FILES, key_of
from test_http import again, ready


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    try:
        return Authority(tmp_path_factory.mktemp("ca"))
    except Missing as e:
        pytest.skip(str(e))


@pytest.fixture
def nginx(tmp_path):
    made = []

    def make(**kw):
        (tmp_path / f"ng{len(made)}").mkdir()
        try:
            made.append(NginxDav(tmp_path / f"ng{len(made)}", **kw).start())
        except Missing as e:
            pytest.skip(str(e))
        (made[-1].root / "base").mkdir()
        return made[-1]
    yield make
    for s in made:
        s.stop()


def there(s):
    return sorted(str(p.relative_to(s.root / "base")) for p in (s.root / "base").rglob("*") if p.is_file())


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_digest(make_repo, tmp_path, method):
    s = Digest(tmp_path / "files")
    try:
        r = ready(make_repo, s.url, auth="digest", user=s.user, password=s.password, method=method)
        r.gd("push")
        again(r)
        assert r.gd("push").out == "Everything is up to date.\n"
        assert not any("Basic" in x[2].get("Authorization", "") for x in s.seen)
        assert s.password not in repr(s.seen)
        # A nonce that has ended is no refusal.
        s.nonce = "n2"
        r.write("more", b"more")
        r.gd("add", "more")
        r.gd("push")
        assert (tmp_path / "files/base" / key_of(b"more")).read_bytes() == b"more"
        r.gd("remote", "modify", "--local", "r", "password", "wrong")
        p = r.gd("push", "--check", code=None)
        assert p.code and "401" in p.err and "wrong" not in p.err
        r.gd("remote", "modify", "--local", "--unset", "r", "password")
        assert "require both 'user' and 'password'" in r.gd("push", code=None).err
    finally:
        s.stop()


@pytest.mark.parametrize("scheme", ["https", "webdavs"])
def test_own_authority(make_repo, nginx, authority, scheme):
    s = nginx(tls=authority.issue("server"))
    # Without create_full_put_path only WebDAV can make directories.
    url = s.url("base")
    r = ready(make_repo, url)
    for k in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
        r.env.pop(k, None)
    p = r.gd("push", code=None)
    assert p.code and "ertificate" in p.err and "ssl_verify" in p.err and there(s) == []
    r.gd("remote", "modify", "r", "ssl_verify", str(authority.cert))
    r.gd("push")
    assert len(there(s)) == 5
    r.gd("remote", "modify", "r", "url", url.replace("webdavs", scheme))
    again(r)
    r.gd("remote", "modify", "--unset", "r", "ssl_verify")
    assert r.gd("fetch", "-f", code=None) is not None
    r.rm(".dvc/cache")
    assert r.gd("fetch", code=None).code
    r.gd("remote", "modify", "r", "ssl_verify", "false")
    r.gd("fetch")
    r.rm(".dvc/cache")
    r.gd("remote", "modify", "--unset", "r", "ssl_verify")
    r.env["REQUESTS_CA_BUNDLE"] = str(authority.cert)
    r.gd("fetch")
    r.gd("remote", "modify", "r", "ssl_verify", str(r.path / "nothing.pem"))
    r.rm(".dvc/cache")
    p = r.gd("fetch", code=None)
    assert p.code and "nothing.pem" in p.err


def test_client_certificates(make_repo, nginx, authority, tmp_path):
    cert, key = authority.issue("client", client=True)
    s = nginx(tls=authority.issue("server"), client_ca=authority.cert)
    r = ready(make_repo, s.url("base"), ssl_verify=authority.cert, cert_path=cert, key_path=key)
    r.gd("push")
    assert len(there(s)) == 5
    again(r)
    both = tmp_path / "both.pem"
    both.write_text(cert.read_text() + key.read_text())
    r.gd("remote", "modify", "--local", "r", "cert_path", str(both))
    r.gd("remote", "modify", "--local", "--unset", "r", "key_path")
    again(r)
    r.gd("remote", "modify", "--local", "--unset", "r", "cert_path")
    r.rm(".dvc/cache")
    p = r.gd("fetch", code=None)
    assert p.code and "400" in p.err
    r.gd("remote", "modify", "--local", "r", "cert_path", str(tmp_path / "gone.pem"))
    p = r.gd("fetch", code=None)
    assert p.code and "gone.pem" in p.err


def on_terminal(r, args, password):
    """(exit status, what the terminal showed): the command on a terminal of its own, the password typed when it is asked for."""
    pid, fd = pty.fork()
    if not pid:
        os.chdir(r.path)
        os.execve(GIT_DATA, [GIT_DATA, *args], r.env)
    shown, typed, end = b"", False, time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                data = os.read(fd, 4096)
            except OSError:
                break
            if not data:
                break
            shown += data
        if b"password" in shown and not typed:
            time.sleep(0.3)
            os.write(fd, password.encode() + b"\n")
            typed = True
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode(errors="replace")


@pytest.mark.parametrize("scheme", ["webdav", "http"])
def test_ask_password(make_repo, nginx, scheme):
    s = nginx(user=("joe", "geheim wort"))
    r = ready(make_repo, s.url("base"), user="joe", password="geheim wort")
    r.gd("push")
    assert len(there(s)) == 5
    r.rm(".dvc/cache")
    r.gd("remote", "modify", "--local", "--unset", "r", "password")
    r.gd("remote", "modify", "r", "url", s.url("base").replace("webdav", scheme))
    r.gd("remote", "modify", "r", "ask_password", "true")
    if scheme == "http":
        r.gd("remote", "modify", "r", "auth", "basic")
    p = r.gd("fetch", code=None)
    assert p.code, "nobody is there to be asked"
    code, shown = on_terminal(r, ["fetch"], "geheim wort")
    assert code == 0 and "Enter a password for host" in shown and "'joe'" in shown and "geheim" not in shown
    assert len(r.cache()) == 5
    r.rm(".dvc/cache")
    code, shown = on_terminal(r, ["fetch"], "falsch")
    assert code and "401" in shown and "falsch" not in shown


@pytest.mark.parametrize("scheme", ["webdav", "http"])
def test_custom_header_and_password(make_repo, tmp_path, scheme):
    from servers.dagshub import DagsHub
    h = DagsHub(tmp_path / "hub", auth=None, header=("X-Key", "s3cret"), redirect=False)
    try:
        r = ready(make_repo, h.url.replace("http", scheme), custom_auth_header="X-Key", password="s3cret",
                  **({"auth": "custom"} if scheme == "http" else {}))
        r.gd("push")
        again(r)
        got = {str(p.relative_to(tmp_path / "hub/user/repo.dvc")) for p in (tmp_path / "hub").rglob("*") if p.is_file()}
        assert {key_of(d) for d in FILES.values()} <= got and not any(".tmp" in n for n in got)
    finally:
        h.stop()
