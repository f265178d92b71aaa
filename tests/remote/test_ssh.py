"""Logging in over SSH: keys, agent, passphrase, configuration, host keys, a lost connection, what is left behind."""
import hashlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time

import places
import pytest
from servers.relay import Relay
from servers.sftpd import RcloneSftp
from servers.sshd import keygen
from test_contract import FILES, key_of

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
    return places.fill(r, url, files, options)


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


def test_a_jump_host(make_repo, sshd, base):
    """One server is both hosts: each push logs in twice."""
    r = ready(make_repo, sshd, f"ssh://box{base}")
    ssh = sshd.known_to(r.env["HOME"])
    (ssh / "config").write_text("Host box\n  ProxyJump jump\nHost box jump\n"
                                f"  HostName 127.0.0.1\n  Port {sshd.port}\n  User {sshd.user}\n"
                                f"  IdentityFile {sshd.keys['ed25519']}\n  UserKnownHostsFile {ssh / 'known_hosts'}\n")

    def logins():
        return (sshd.dir / "log").read_text(errors="replace").count("Accepted publickey")
    before = logins()
    r.gd("push")
    assert there(base) == [key_of(b"three")] and logins() == before + 2
    r.rm(".dvc/cache")
    r.rm("f")
    r.gd("pull")
    assert r.read("f") == b"three" and logins() == before + 4


def test_the_ciphers_of_the_user_stay(make_repo, sshd, base, tmp_path):
    """A large file goes through the ssh program; whatever it is told, no cipher comes in that was not there."""
    seen, real = tmp_path / "seen", shutil.which("ssh")
    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin/ssh"
    wrapper.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{seen}\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    r = ready(make_repo, sshd, f"ssh://box{base}", files={"f": bytes(9 << 20)})
    r.env["PATH"] = f"{tmp_path / 'bin'}:{r.env['PATH']}"
    ssh = sshd.known_to(r.env["HOME"])
    host = (f"Host box\n  HostName 127.0.0.1\n  Port {sshd.port}\n  User {sshd.user}\n"
            f"  IdentityFile {sshd.keys['ed25519']}\n")
    (ssh / "config").write_text(host)
    r.gd("push")
    given = [line.split("=", 1)[1] for line in seen.read_text().splitlines() if line.startswith("-oCiphers=")]
    out = subprocess.run([real, "-F", ssh / "config", "-G", "box"], env=r.env, capture_output=True, text=True, check=True).stdout
    usual = next(line.split()[1] for line in out.splitlines() if line.startswith("ciphers "))
    assert all(sorted(g.split(",")) == sorted(usual.split(",")) for g in given)
    seen.unlink()
    shutil.rmtree(base)
    (ssh / "config").write_text(host + "  Ciphers aes256-ctr,aes128-gcm@openssh.com\n")
    r.gd("push")
    assert len(there(base)) == 1 and "\nsftp\n" in seen.read_text() and "-oCiphers" not in seen.read_text()


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
    with Relay(sftpd.port) as m:
        m.hush("down", allow)
        r = ready(make_repo, sftpd, sftpd.url(tmp_path.name, m.port), lines=sftpd.host_line(m.port), files=FILES,
                  password=sftpd.password, timeout=2)
        start = time.monotonic()
        p = r.gd("push", code=None)
        assert p.code and awaited in p.err and "for 2 seconds" in p.err
        assert time.monotonic() - start < 60 and m.connections <= 6, "bounded, and only progress earns another attempt"
        assert allow > 300 or (m.connections == 1 and p.err.count("ERROR") == 1), "nobody there is said once"


def part_of(r, base):
    """The name that an upload of that object goes on under, and its bytes."""
    (cached,) = [p for p in (r.path / ".dvc/cache/files/md5").rglob("*") if p.is_file()]
    st = cached.stat()
    mark = hashlib.md5(f"{os.uname().nodename} {st.st_dev} {st.st_ino}".encode()).hexdigest()[:12]
    return base / "files/md5" / cached.parent.name / f".{cached.name}.{mark}.part", cached.read_bytes()


@pytest.mark.parametrize("how,bad", [("md5sum", None), ("md5sum", 21 << 20), ("one session", None), ("one session", 21 << 20),
                                     ("no shell", 21 << 20)])
def test_what_an_earlier_upload_left_is_compared(make_repo, sshd, sftpd, base, tmp_path, how, bad):
    """One flipped bit in what is there never gets the object's name; what is whole is not sent again."""
    data = random.Random(3).randbytes(1 << 16) * 880
    server, at = (sftpd, sftpd.root / tmp_path.name) if how == "no shell" else (sshd, base)
    with Relay(server.port) as relay:
        url = sftpd.url(tmp_path.name, relay.port) if server is sftpd else sshd.url(at).replace(f":{sshd.port}/", f":{relay.port}/")
        lines = server.host_line(relay.port) if server is sftpd else sshd.host_line(name=f"[127.0.0.1]:{relay.port}")
        login = {"password": sftpd.password} if server is sftpd else {"keyfile": sshd.keys["ed25519"]}
        r = ready(make_repo, server, url, lines=lines, files={"f": data}, **login,
                  **({"max_sessions": 1} if how == "one session" else {}))
        part, whole = part_of(r, at)
        part.parent.mkdir(parents=True)
        left = bytearray(whole[:50 << 20])
        if bad:
            left[bad] ^= 4
        part.write_bytes(left)
        r.gd("push")
        up, down = relay.up >> 20, relay.down >> 20
    (name,) = there(at)
    assert (at / name).read_bytes() == whole == data
    assert up >= 50 if bad or server is sftpd else up < 18, f"{up} MiB went up"
    assert down < 2 or how != "md5sum", f"{down} MiB were read back"


def test_the_key_that_is_git_s_is_not_used(make_repo, sshd, base):
    """CI sets GIT_SSH_COMMAND to a deploy key for git; DVC does not look at it."""
    r = ready(make_repo, sshd, sshd.url(base), files={"small": b"1", "big": os.urandom(9 << 20)}, keyfile=sshd.keys["ed25519"])
    r.env["GIT_SSH_COMMAND"] = "/bin/false"
    assert r.gd("push").out == "2 files pushed\n"
    assert len(there(base)) == 2
