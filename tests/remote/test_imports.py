"""import-url and its kin from every kind of server: pointers hold the very bytes that the reference writes, and either tool
finds an import of the other unchanged."""
import places
import pytest
from conftest import Place
from servers.dav import NginxDav
from test_contract import md5


def fill(place):
    place.write("src/f", b"three\n")
    place.write("src/d/a", b"one\n")
    place.write("src/d/sub/b", b"two\n")
    place.write("src/e/flat", b"one\n")


def both(make_repo, place, *args):
    """The same by each tool, in a repository of its own."""
    out = {}
    for tool in ("gd", "dvc"):
        r = out[tool] = make_repo(tool)
        place.add_to(r)
        for name in ("f", "d", "e"):
            r.tool(tool, "import-url", *args, f"remote://r/src/{name}", code=None)
    return out["gd"], out["dvc"]


@pytest.mark.parametrize("args", [(), ("--no-download",)])
def test_pointers_are_the_references(make_repo, place, server, args):
    fill(place)
    ours, theirs = both(make_repo, place, *args)
    # Where the reference cannot import from WebDAV there is nothing to compare with; of "d" it records another name for "sub".
    dav = server is not None and server.kind.startswith("dav")
    names = [n for n in ("f.dvc", "e.dvc", "d.dvc") if theirs.exists(n) and not (dav and n == "d.dvc")]
    assert len(names) == 3 or dav
    for n in names:
        assert theirs.exists(n) and ours.text(n) == theirs.text(n)
    for r, tool in ((ours, "dvc"), (theirs, "gd")):
        if not args and not dav:
            assert "Importing" not in r.tool(tool, "update", *names).out


def test_a_change_is_seen_and_brought(make_repo, place, server):
    fill(place)
    r = make_repo()
    place.add_to(r)
    r.gd("import-url", "remote://r/src/f")
    r.gd("import-url", "remote://r/src/d")
    assert r.read("f") == b"three\n" and r.read("d/sub/b") == b"two\n"
    assert "Importing" not in r.gd("update", "f.dvc", "d.dvc").out
    place.write("src/f", b"four and more\n")
    place.write("src/d/sub/b", b"2 and more\n")
    r.gd("update", "f.dvc", "d.dvc")
    assert r.read("f") == b"four and more\n"
    if server is None or server.kind != "dav-nginx":            # whose listing has no ETags to tell members apart by
        assert r.read("d/sub/b") == b"2 and more\n"
    assert md5(b"four and more\n") in r.text("f.dvc")


def test_a_directory_is_got_and_listed_as_one(make_repo, place):
    fill(place)
    r = make_repo()
    place.add_to(r)
    assert r.gd("list-url", "-R", "remote://r/src/d").out.split() == ["a", "sub/b"]
    theirs = r.dvc("list-url", "-T", "remote://r/src/d/", code=None)
    assert theirs.code or r.gd("list-url", "-T", "remote://r/src/d/").out == theirs.out
    r.gd("get-url", "remote://r/src/d", "got")
    assert r.read("got/a") == b"one\n" and r.read("got/sub/b") == b"two\n"


def test_ssh_knows_a_source_by_its_content(make_repo, tmp_path):
    s = places.start("ssh", tmp_path / "ssh")
    try:
        place = Place(**places.place_of("ssh", s, "src"))
        fill(place)
        r = make_repo()
        place.add_to(r)
        r.gd("import-url", "remote://r/src/f")
        place.write("src/f", b"three\n")                        # another time, the same content
        assert "didn't change" in r.gd("update", "f.dvc").out
        r.gd("stage", "add", "-n", "s", "-d", "remote://r/src/d", "-o", "o", "echo x > o")
        r.gd("repro")
        assert "didn't change" in r.dvc("repro").out
        place.write("src/d/a", b"changed\n")
        assert "modified:           remote://r/src/d" in r.gd("status").out
    finally:
        s.stop()


@pytest.mark.parametrize("remote", [True, False])
def test_http_etags_keep_their_quotes(make_repo, tmp_path, remote):
    s = NginxDav(tmp_path / "web").start()
    try:
        (s.root / "f").write_bytes(b"three\n")
        base = f"http://127.0.0.1:{s.port}"
        texts = []
        for tool in ("gd", "dvc"):
            r = make_repo(tool)
            r.tool(tool, "remote", "add", "-q", "h", base)
            r.tool(tool, "import-url", "remote://h/f" if remote else f"{base}/f")
            texts.append(r.text("f.dvc"))
            assert "didn't change" in r.gd("update", "f.dvc").out
        assert texts[0] == texts[1] and "checksum: '\"" in texts[0]
    finally:
        s.stop()
