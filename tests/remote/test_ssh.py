"""Logging in over SSH: keys, agent, passphrase, configuration, host keys, a lost connection, what is left behind."""
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import places
import pytest
from servers.sftpd import Mute, RcloneSftp
from servers.sshd import keygen
from test_contract import FILES, key_of

GIT_DATA = os.environ.get("GIT_DATA") or str(Path(__file__).resolve().parents[2] / "build/release/git-data")
SMALL = {"f": b"three"}


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    try:
        s = places.start("ssh", tmp_path_factory.mktemp("sshd"))
    except places.Missing as e:
        pytest.skip(str(e))
    yield s
    s.stop()


@pytest.fixture
def base(sshd, tmp_path):
    return sshd.dir / "r" / tmp_path.name


def ready(make_repo, sshd, url, lines=None, files=SMALL, **options):
    r = make_repo()
    sshd.known_to(r.env["HOME"], lines)
    r.gd("remote", "add", "-q", "-d", "r", url)
    for k, v in options.items():
        r.gd("remote", "modify", "-q", "--local", "r", k, str(v))
    for n, d in files.items():
        r.write(n, d)
    r.gd("add", *sorted({n.split("/")[0] for n in files}))
    return r


def there(base):
    return sorted(str(p.relative_to(base)) for p in base.rglob("*") if p.is_file())


@pytest.mark.parametrize("key", ["ed25519", "ecdsa", "rsa"])
def test_each_kind_of_key(make_repo, sshd, base, key):
    r = ready(make_repo, sshd, sshd.url(base), keyfile=sshd.keys[key])
    r.gd("push")
    assert there(base) == [key_of(b"three")]


def test_an_encrypted_key_needs_its_passphrase(make_repo, sshd, base):
    r = ready(make_repo, sshd, sshd.url(base), keyfile=sshd.keys["enc"])
    p = r.gd("push", code=None)
    assert p.code and "passphrase" in p.err and not base.exists()
    r.gd("remote", "modify", "--local", "r", "passphrase", "wrong")
    p = r.gd("push", code=None)
    assert p.code and "passphrase" in p.err and "wrong" not in p.err
    r.gd("remote", "modify", "--local", "r", "passphrase", "geheim")
    r.gd("push")
    assert there(base) == [key_of(b"three")]


def test_an_encrypted_rsa_key_by_the_ssh_program(make_repo, sshd, base, tmp_path):
    key = keygen(tmp_path / "k", "rsa", "geheim")
    with open(sshd.dir / "authorized", "a") as f:
        f.write((tmp_path / "k.pub").read_text())
    r = ready(make_repo, sshd, sshd.url(base), keyfile=key, passphrase="geheim")
    r.gd("push")
    assert there(base) == [key_of(b"three")]


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_the_agent(make_repo, sshd, base, kind):
    out = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    sock, pid = re.search(r"SSH_AUTH_SOCK=([^;]+)", out)[1], int(re.search(r"SSH_AGENT_PID=(\d+)", out)[1])
    try:
        r = ready(make_repo, sshd, sshd.url(base))
        assert r.gd("push", code=None).code
        r.env["SSH_AUTH_SOCK"] = sock
        subprocess.run(["ssh-add", "-q", str(sshd.keys[kind])], env=r.env, check=True)
        r.gd("push")
        assert there(base) == [key_of(b"three")]
    finally:
        os.kill(pid, signal.SIGTERM)


def test_an_agent_that_never_answers_is_left_aside(make_repo, sshd, base, tmp_path):
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "a"))
        agent.listen(5)
        r = ready(make_repo, sshd, sshd.url(base), timeout=1)
        r.env["SSH_AUTH_SOCK"] = str(tmp_path / "a")
        p = r.gd("push", code=None)
        assert p.code == 255 and "does not answer" in p.err and "Permission denied (publickey" in p.err


def test_a_refused_login_says_what_to_do(make_repo, sshd, base):
    r = ready(make_repo, sshd, sshd.url(base), keyfile=sshd.keys["stranger"])
    start = time.monotonic()
    p = r.gd("push", code=None)
    assert p.code and "Permission denied (publickey" in p.err
    assert time.monotonic() - start < 20, "a refusal is not tried again"


@pytest.mark.parametrize("key", ["ed25519", "rsa"])
def test_unknown_and_changed_host_keys_are_refused(make_repo, sshd, base, key):
    r = ready(make_repo, sshd, sshd.url(base), lines="", keyfile=sshd.keys[key])
    p = r.gd("push", code=None)
    assert p.code and "host key is known for" in p.err and "Host key verification failed." in p.err
    other = (sshd.dir / "key_ed25519.pub").read_text().split()[1]
    sshd.known_to(r.env["HOME"], f"[127.0.0.1]:{sshd.port} ssh-ed25519 {other}\n")
    p = r.gd("push", code=None)
    assert p.code and "REMOTE HOST IDENTIFICATION HAS CHANGED" in p.err and "Host key verification failed." in p.err
    assert "known_hosts:1" in p.err
    sshd.known_to(r.env["HOME"], sshd.host_line() + "@revoked " + sshd.host_line(name="*"))
    p = r.gd("push", code=None)
    assert p.code and "REVOKED" in p.err.upper()
    assert not base.exists()


@pytest.mark.parametrize("how", ["hashed", "pattern", "portless", "ecdsa", "rsa"])
def test_known_hosts_as_ssh_reads_them(make_repo, sshd, base, how):
    lines = {"pattern": "!nobody,[127.0.*.1]:* " + sshd.host_line().split(" ", 1)[1],
             "portless": sshd.host_line(name="127.0.0.1"), "ecdsa": sshd.host_line("ecdsa"),
             "rsa": sshd.host_line("rsa")}.get(how)
    r = ready(make_repo, sshd, sshd.url(base), lines=lines, keyfile=sshd.keys["ed25519"])
    if how == "hashed":
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", f"{r.env['HOME']}/.ssh/known_hosts"], check=True,
                       capture_output=True)
    r.gd("push")
    assert there(base) == [key_of(b"three")]


@pytest.mark.parametrize("proxy", [False, True])
def test_aliases_and_proxies_of_ssh_config(make_repo, sshd, base, proxy, tmp_path):
    relay = tmp_path / "relay.py"
    relay.write_text("import socket, sys, threading, os\n"
                     "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
                     "def up():\n    while b := os.read(0, 65536):\n        s.sendall(b)\n    s.shutdown(1)\n"
                     "threading.Thread(target=up, daemon=True).start()\n"
                     "while b := s.recv(65536):\n    os.write(1, b)\n")
    r = ready(make_repo, sshd, f"ssh://box{base}")
    ssh = sshd.known_to(r.env["HOME"])
    (ssh / "config").write_text(f"Host box\n  HostName 127.0.0.1\n  Port {sshd.port}\n  User {sshd.user}\n"
                                f"  IdentityFile {sshd.keys['ed25519']}\n" +
                                (f"  ProxyCommand python3 {relay} %h %p\n" if proxy else ""))
    r.gd("push")
    assert there(base) == [key_of(b"three")]


def test_a_server_that_speaks_only_modern_ciphers(make_repo, tmp_path):
    """Beyond libssh2 1.10: the ssh program takes over."""
    s = places.Sshd(tmp_path / "sshd", more="Ciphers aes256-gcm@openssh.com,chacha20-poly1305@openssh.com\n"
                    "KexAlgorithms sntrup761x25519-sha512@openssh.com").start()
    try:
        r = ready(make_repo, s, s.url(tmp_path / "remote"), keyfile=s.keys["ed25519"])
        r.gd("push")
        assert there(tmp_path / "remote") == [key_of(b"three")]
    finally:
        s.stop()


def test_no_temporary_stays_and_a_bad_place_is_named(make_repo, sshd, base):
    r = ready(make_repo, sshd, sshd.url(base), files=FILES, keyfile=sshd.keys["ed25519"])
    base.parent.mkdir(parents=True, exist_ok=True)
    base.write_bytes(b"a file where the remote should be")
    p = r.gd("push", code=None)
    assert p.code == 1 and str(base) in p.err
    base.unlink()
    r.gd("push")
    assert len(there(base)) == 5 and not any(".tmp" in n for n in there(base))


def test_a_large_upload_goes_on_where_it_was_killed(make_repo, sshd, base):
    r = ready(make_repo, sshd, sshd.url(base), keyfile=sshd.keys["ed25519"], files={"big": os.urandom(1 << 20) * 120})
    p = subprocess.Popen([GIT_DATA, "push"], cwd=r.path, env=r.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(3000):
        parts = [q for q in base.rglob("*.part") if q.stat().st_size > 60 << 20] if base.exists() else []
        if parts or p.poll() is not None:
            break
        time.sleep(0.01)
    if p.poll() is not None:
        return                          # too fast to be killed: it is whole
    p.kill()
    p.wait()
    inode = parts[0].stat().st_ino
    r.gd("push")
    (left,) = there(base)
    assert (base / left).stat().st_ino == inode, "the part was used"
    r.rm("big")
    r.rm(".dvc/cache")
    r.gd("pull")
    assert len(r.read("big")) == 120 << 20


def test_strange_hosts_are_refused(make_repo):
    r = make_repo()
    r.gd("remote", "add", "-q", "-d", "r", "ssh://-oProxyCommand=x/path")
    r.write("f", b"1")
    r.gd("add", "f")
    p = r.gd("push", code=None)
    assert p.code and "cannot be the host" in p.err


@pytest.fixture(scope="module")
def sftpd(tmp_path_factory):
    try:
        s = RcloneSftp(tmp_path_factory.mktemp("sftpd")).start()
    except places.Missing as e:
        pytest.skip(str(e))
    yield s
    s.stop()


def test_a_password_and_a_server_with_the_plain_protocol_only(make_repo, sftpd, tmp_path):
    """No posix-rename, no limits: as many servers that are not OpenSSH's."""
    name = f"{tmp_path.name}/a b"
    r = ready(make_repo, sftpd, sftpd.url(name), files=FILES, password=sftpd.password)
    r.gd("push")
    base = sftpd.root / name
    assert len(there(base)) == 5 and not any(".tmp" in n for n in there(base))
    assert "in sync" in r.gd("status", "-c").out
    r.rm(".dvc/cache")
    for n in {n.split("/")[0] for n in FILES}:
        r.rm(n)
    r.gd("pull")
    assert all(r.read(n) == d for n, d in FILES.items())


def test_a_plain_rename_onto_a_shortened_object(make_repo, sftpd, tmp_path):
    """The copy on the remote is no object: the push puts the whole one in its place."""
    r = ready(make_repo, sftpd, sftpd.url(tmp_path.name), password=sftpd.password)
    r.gd("push")
    (name,) = there(sftpd.root / tmp_path.name)
    (sftpd.root / tmp_path.name / name).write_bytes(b"th")
    r.gd("push")
    assert there(sftpd.root / tmp_path.name) == [name]
    assert (sftpd.root / tmp_path.name / name).read_bytes() == b"three"


@pytest.mark.parametrize("password", ["wrong", None])
def test_a_wrong_password_is_refused_at_once(make_repo, sftpd, tmp_path, password):
    r = ready(make_repo, sftpd, sftpd.url(tmp_path.name), **({"password": password} if password else {}))
    start = time.monotonic()
    p = r.gd("push", code=None)
    assert time.monotonic() - start < 20, "a refusal is not tried again"
    assert p.code == 255 and "Permission denied (password,publickey)" in p.err
    assert ("remote modify --local" if password else "ask_password") in p.err
    assert "pass word" not in p.err and not (sftpd.root / tmp_path.name).exists()


@pytest.mark.parametrize("allow,awaited", [(0, "the SSH handshake"), (300, "the SSH handshake"), (1 << 11, "no answer")])
def test_a_server_that_falls_silent_is_given_up(make_repo, sftpd, tmp_path, allow, awaited):
    with Mute(sftpd.port, allow) as m:
        r = ready(make_repo, sftpd, sftpd.url(tmp_path.name, m.port), lines=sftpd.host_line(m.port), files=FILES,
                  password=sftpd.password, timeout=2)
        start = time.monotonic()
        p = r.gd("push", code=None)
        assert p.code and awaited in p.err and "for 2 seconds" in p.err
        assert time.monotonic() - start < 60 and m.asked <= 6, "bounded, and only progress earns another attempt"
        assert allow > 300 or (m.asked == 1 and p.err.count("ERROR") == 1), "nobody there is said once"
