"""What random_ops.py runs: a seed gives a prelude (run once, by the reference) and steps.

The generator keeps a rough idea of what exists, so that most commands have something to do; it need not be right: a
command on what is not there is a test too.
"""
import random
import shlex

READS = {"status", "data", "diff", "list", "ls", "du", "check-ignore", "root", "list-url"}

PLAIN = ["a", "b.txt", "c.bin", "run.sh", "d/a", "d/b", "d/s/c", "d/s/t/e", "e/x.csv", "e/y.csv", "x/y/z", "x/w"]
ODD = ["sp ace", "ünï", "it's", "#h", "100", "null", "emo😀ji", "a: b", "[br]", "q?", "st*r", "!bang", "d/é t", "~", "-lead",
       "trail ", "e/z.CSV", "true", "a.b.c", "x/.hidden", ".dot", "d/a.tmp", "back\\slash", "o/1e5", "o/%41", "=", "d.x/f",
       "comma,x", "semi;x", "do$x", "quo\"te", "@at", "amp&", "d-x", "d/a b", "d/a-b", "d/a.b"]
DIRS = ["d", "e", "x", "x/y", "d/s", "o", "empty", "d.x"]
DATA = ["a\\n", "b\\n", "", "c\\r\\nd\\r\\n", "one two\\n", "\\000\\001bin", "{\"k\": 1}\\n", "x,y\\n1,2\\n", "a\\n", "z"]


class Step:
    """A shell line, or a command line of the tool (argv) in a directory of the repository."""

    def __init__(self, line=None, argv=None, cwd=".", loose=()):
        self.line, self.argv, self.cwd, self.loose = line, argv, cwd, set(loose)

    @property
    def reads(self):
        return self.argv is not None and self.argv[:1] and self.argv[0] in READS

    def render(self):
        line = self.line
        if self.argv is not None:
            line = "dvc " + " ".join('"' + a + '"' if "$TOP" in a else shlex.quote(a) for a in self.argv)
        return line if self.cwd == "." else f"(cd {shlex.quote(self.cwd)} && {line})"


def q(name):
    return shlex.quote(name if not name.startswith("-") else "./" + name)


def dvc(*argv, cwd="."):
    return Step(argv=list(argv), cwd=cwd)


class Gen:
    def __init__(self, seed, topic):
        self.r = random.Random(f"{seed} {topic}")
        self.steps, self.topic = [], topic
        self.files, self.tracked, self.revs, self.remotes = [], [], ["HEAD"], []
        self.names = PLAIN + (self.r.sample(ODD, 6) if self.r.random() < 0.5 else [])
        self.cwds = ["."]
        self.scm = True

    # Small helpers.
    def some(self, p):
        return self.r.random() < p

    def pick(self, seq):
        return self.r.choice(seq)

    def sub(self, opts, p=0.3):
        """Some of the options; an option with a value is a tuple whose members may be functions."""
        out = []
        for o in opts:
            if self.some(p):
                if isinstance(o, tuple):
                    out += [x() if callable(x) else x for x in o]
                else:
                    out.append(o)
        return out

    def sh(self, line, cwd="."):
        self.steps.append(Step(line, cwd=cwd))

    def dvc(self, *argv, cwd="."):
        self.steps.append(dvc(*argv, cwd=cwd))

    def rev(self):
        return self.pick(self.revs + (["nope"] if self.some(0.03) else []))

    def remote(self):
        return self.pick(self.remotes + ["nope"] if self.some(0.05) or not self.remotes else self.remotes)

    def target(self):
        """Something to name on a command line."""
        x = self.r.random()
        if self.tracked and x < 0.6:
            t = self.pick(self.tracked)
            y = self.r.random()
            if y < 0.3:
                t += ".dvc"
            elif y < 0.45:
                inside = [f for f in self.files if f.startswith(t + "/")]
                t = self.pick(inside) if inside else t + "/"
        elif x < 0.9 and self.files:
            t = self.pick(self.files)
        elif x < 0.95:
            t = self.pick(DIRS)
        else:
            t = self.pick(["nope", ".", "nope.dvc", "d/nope", "..", "*.dvc", "d*", ""])
        if t.startswith("-"):
            t = "./" + t
        return t

    def targets(self, most=2, none=0.3):
        return [] if self.some(none) else [self.target() for _ in range(self.r.randint(1, most))]

    # Steps that change the work tree behind the tool's back.
    def write(self, name=None):
        name = name or self.pick(self.names)
        d = name.rpartition("/")[0]
        if d:
            self.sh(f"mkdir -p {q(d)}; rm -f {q(name)}; printf '{self.pick(DATA)}' > {q(name)}")
        else:
            self.sh(f"rm -rf {q(name)}; printf '{self.pick(DATA)}' > {q(name)}")
        if name not in self.files:
            self.files.append(name)

    def change(self):
        x = self.r.random()
        f = self.pick(self.files) if self.files else "a"
        t = self.pick(self.tracked) if self.tracked else f
        if x < 0.35:
            self.write()
        elif x < 0.45:
            self.write(f)
        elif x < 0.53:
            self.sh(f"rm -rf {q(f)}")
        elif x < 0.58:
            self.sh(f"rm -rf {q(t)}")
        elif x < 0.61:
            self.sh(f"mkdir -p {q(self.pick(DIRS) + '/nested/empty')}")
        elif x < 0.65:
            self.sh(f"chmod {self.pick(['+x', '-x', '600', '444', '755'])} {q(f)}")
        elif x < 0.69:
            self.sh(f"ln -sfn {q(self.pick(['a', '../a', 'd', 'b.txt', '../d/b']))} {q(self.pick(['lnk', 'd/lnk', 'e/lnk']))}")
            self.files.append(self.pick(["lnk", "d/lnk", "e/lnk"]))
        elif x < 0.74:
            self.sh(f"rm -rf {q(t)}; mkdir {q(t)}; printf '{self.pick(DATA)}' > {q(t)}/in" if self.some(0.5)
                    else f"rm -rf {q(t)}; printf '{self.pick(DATA)}' > {q(t)}")
            self.files.append(t + "/in")
        elif x < 0.78:
            self.sh(f"printf '%s\\n' {q(self.pick(['*.tmp', 'd/s', '/a', 'e/*.csv', '!e/x.csv', 'x/', '**/t', 'b*', '*.bin']))}"
                    f" >> {self.pick(['.dvcignore', '.dvcignore', 'd/.dvcignore', 'x/.dvcignore'])}")
        elif x < 0.81:
            self.sh(f"printf '%s\\n' {q(self.pick(['*.tmp', '/d', 'a', '/e/*.csv', '*.bin', 'nothing']))} >> .gitignore")
        elif x < 0.84:
            self.sh("rm -rf .dvc/cache")
        elif x < 0.88:
            self.sh(f"f=$(find .dvc/cache -type f ! -name '*.tmp' | sort | sed -n {self.r.randint(1, 5)}p); "
                    "[ -z \"$f\" ] || rm -f \"$f\"")
        elif x < 0.91:
            self.sh(f"f=$(find $TOP/store -type f ! -name '*.tmp' 2>/dev/null | sort | sed -n {self.r.randint(1, 5)}p); "
                    "[ -z \"$f\" ] || rm -f \"$f\"")
        elif x < 0.93:
            self.sh(f"mv {q(f)} {q(f + '2')}")
            self.files.append(f + "2")
        elif x < 0.95:
            self.sh(f"touch {q(f)}")
        elif x < 0.96:
            self.sh(f"cp {q(t)}.dvc {q(t + 'copy')}.dvc")
        else:
            self.edit_pointer(t)

    def edit_pointer(self, t):
        p = q(t + ".dvc")
        edit = self.pick(["/size:/d", "/hash: md5/d", "/nfiles:/d", "s/md5: .*/md5: 0123456789abcdef0123456789abcdef/",
                          "1i# comment", "$a desc: about it", "s/^  size: .*/  size: 99/", "/md5: ./d",
                          "s/^  path: /  desc: it is\\n  path: /", "$a meta: {k: 1}", "s/^  path: /  cache: false\\n  path: /",
                          "s/^  path: /  push: false\\n  path: /", "s/^  path: /  remote: st2\\n  path: /", "$a frozen: true",
                          "s/^  path: /  isexec: true\\n  path: /", "s/^- md5:/-   md5:/;s/^  /    /", "s/^  path: .*/  path: a/",
                          "$a wdir: ."])
        self.sh(f"[ ! -f {p} ] || sed -i {q(edit)} {p}")

    def git(self):
        x = self.r.random()
        if not self.scm:
            return self.change()
        if x < 0.6 or len(self.revs) < 2:
            tag = f"t{len(self.revs)}"
            self.sh(f"git add -A; git commit -q --allow-empty -m {tag}; git tag {tag}")
            self.revs.append(tag)
        elif x < 0.9:
            self.sh(f"git add -A; git commit -qm wip; git checkout -q {self.pick(self.revs)}")
        else:
            self.sh(f"git checkout -q -B br{self.r.randint(1, 2)}")
            self.revs.append(f"br{self.r.randint(1, 2)}")

    # Commands.
    def cwd(self):
        return self.pick(self.cwds)

    def add(self):
        t = [self.pick(DIRS + self.files + self.names[:6]) if self.some(0.9) else self.target()
             for _ in range(1 if self.some(0.75) else 2)]
        opts = self.sub(["--no-commit", "-f", "--no-relink", "-q"], 0.12)
        if self.some(0.06):
            opts += ["--glob"]
            t = [self.pick(["*.csv", "**/*.csv", "d/*", "[ab]*", "e/?.csv", "nope*"])]
        elif self.some(0.07):
            opts += ["-o", self.pick(["out", "x/out", "d/out"])]
            t = t[:1] if self.some(0.9) else t
            if self.some(0.4):
                t = [self.pick(["$TOP/ext/f", "$TOP/ext/dir"])]
            if self.some(0.3):
                opts += ["--to-remote", *self.sub([("-r", self.remote)], 0.4)]
        elif self.some(0.03):
            opts += ["--to-remote"]
        for x in t:
            x = x.rstrip("/")
            if x not in self.tracked and "$" not in x:
                self.tracked.append(x)
        t = ["./" + x if x.startswith("-") else x for x in t]
        if self.some(0.05):
            t = [x + "/" for x in t]
        self.dvc("add", *opts, *t, cwd="." if self.some(0.93) else self.cwd())

    def part(self):
        """A new, changed or removed member of a tracked directory is named by itself, pulled or not."""
        inside = [f for f in self.files if f.rpartition("/")[0] in self.tracked]
        d = self.pick(inside).rpartition("/")[0] if inside else self.pick(["d", "x"])
        name = f"{d}/{self.pick(['new', 'a', 's/new', 'x.csv'])}"
        if self.some(0.3):
            self.sh(f"rm -rf .dvc/cache {q(d)}" if self.some(0.5) else "rm -rf .dvc/cache")
        if self.some(0.8):
            self.write(name)
        else:
            self.sh(f"rm -rf {q(name)}")
        self.dvc(*self.pick([["add"], ["add"], ["add", "--no-commit"], ["add", "--no-relink"], ["commit", "-f"]]), "./" + name)
        if self.some(0.6):
            self.dvc(*self.pick([["checkout"], ["checkout", "--summary"], ["status"], ["push"], ["pull"], ["diff", "--json"]]))

    def clone(self):
        """What a colleague has: the pointers, nothing of the data."""
        for t in self.tracked:
            self.sh(f"rm -rf {q(t)}")
        self.sh("rm -rf .dvc/cache")
        self.dvc(*self.pick([["pull"], ["fetch"], ["checkout"], ["status"], ["pull", "--allow-missing"], ["gc", "-w", "-f"]]))

    def status(self):
        opts = self.sub(["--json", "-q", "--no-updates", "-R", "-d"], 0.15)
        if self.some(0.35):
            opts += ["-c"] + self.sub([("-r", self.remote), "-a", "-T", ("-j", "2")], 0.2)
        self.dvc("status", *opts, *self.targets(none=0.6), cwd=self.cwd())

    def data_status(self):
        opts = self.sub(["--json", "--granular", "--unchanged"], 0.5)
        opts += self.sub(["--untracked-files", "--untracked-files=no", "--untracked-files=all"], 0.12)
        if self.some(0.2):
            opts += ["--not-in-remote"] + self.sub([("-r", self.remote), "--no-remote-refresh"], 0.3)
        self.dvc("data", "status", *opts, *self.targets(none=0.75), cwd=self.cwd())

    def diff(self):
        revs = [self.rev() for _ in range(self.pick([0, 0, 1, 1, 2, 2]))]
        opts = self.sub(["--json", "--show-hash", "--md", "--hide-missing"], 0.25)
        if self.some(0.25):
            opts += ["--targets", *self.targets(none=0)]
        self.dvc("diff", *revs, *opts, cwd=self.cwd())

    def checkout(self):
        opts = self.sub(["-f"], 0.4) + self.sub(["--summary", "--relink", "-R", "-d", "--allow-missing", "-q"], 0.15)
        self.dvc("checkout", *opts, *self.targets(none=0.5), cwd=self.cwd())

    def commit(self):
        self.dvc("commit", *self.sub(["-f"], 0.7), *self.sub(["-R", "-d", "--no-relink", "-q"], 0.12),
                 *self.targets(none=0.5), cwd=self.cwd())

    def remove(self):
        ts = [self.pick(self.tracked) + ".dvc" if self.tracked and self.some(0.7) else self.target()
              for _ in range(1 if self.some(0.8) else 2)]
        self.dvc("remove", *self.sub(["--outs", "-q"], 0.25), *("./" + t if t.startswith("-") else t for t in ts))
        if self.some(0.3):
            self.dvc("checkout", *self.sub(["-f"], 0.3))

    def move(self):
        src = self.pick(self.tracked) if self.tracked and self.some(0.8) else self.target()
        dst = self.pick(["moved", "x/moved", "d/moved", "e", "x", "new/place", "nodir/", "e/", self.pick(self.names)])
        self.tracked.append(dst)
        self.dvc("move", *("./" + x if x.startswith("-") else x for x in (src, dst)))

    def unprotect(self):
        self.dvc("unprotect", self.target())

    def transfer(self, verb=None):
        verb = verb or self.pick(["push", "push", "fetch", "pull", "pull"])
        opts = self.sub([("-r", self.remote)], 0.25) + self.sub(["-a", "-T", "-A", "-R", "-d", "-q", ("-j", "2")], 0.08)
        if verb == "push":
            opts += self.sub(["--glob"], 0.05)
        if verb == "pull":
            opts += self.sub(["-f", "--allow-missing"], 0.15)
        if verb == "fetch":
            opts += self.sub([("--max-size", lambda: self.pick(["1", "3", "10"])), ("--type", "metrics")], 0.05)
        if self.some(0.3) and verb != "push":
            self.sh("rm -rf .dvc/cache" if self.some(0.5) else f"rm -rf .dvc/cache {q(self.pick(self.tracked or ['a']))}")
        self.dvc(verb, *opts, *self.targets(none=0.45), cwd=self.cwd())

    def gc(self):
        opts = self.sub(["-w", "-a", "-T", "-A"], 0.35) or ["-w"]
        opts += self.sub([("-n", "2"), ("--rev", self.rev), ("--date", "2020-01-01"), "--all-experiments"], 0.1)
        if self.some(0.35):
            opts += ["-c", *self.sub([("-r", self.remote)], 0.4)]
        opts += self.sub(["--not-in-remote"], 0.1) + self.sub(["--dry"], 0.4)
        self.dvc("gc", *opts, *(["-f"] if self.some(0.95) else []))

    def listing(self):
        url = self.pick([".", ".", ".", "$TOP/src", "$TOP/src", "$TOP/plain", "nope"] if self.some(0.9) else ["d", "sub"])
        path = [self.pick(["d", "dir", "data", "dir/sub", "nope", "f.txt", "x", "e", "sub", "p/q"])] if self.some(0.4) else []
        if self.some(0.2):
            return self.dvc("du", *self.sub(["-s", ("--rev", self.rev)], 0.2), url, *path)
        opts = self.sub(["-R", "--dvc-only", "--json", "--size", "--show-hash", "-T", ("-L", lambda: self.pick("123"))], 0.25)
        if self.some(0.15):
            opts += ["--rev", self.rev() if url == "." else self.pick(["HEAD", "v1", "main", "nope"])]
        self.dvc(self.pick(["list", "list", "ls"]), *opts, url, *path, cwd=self.cwd())

    def list_url(self):
        self.dvc("list-url", *self.sub(["-R", "--size", "-T", ("-L", lambda: self.pick("12"))], 0.3),
                 self.pick(["$TOP/ext", "$TOP/ext/dir", "$TOP/nope", "$TOP/ext/f", "remote://st", "d", "x"]), cwd=self.cwd())

    def imports(self):
        x = self.r.random()
        path = self.pick(["f.txt", "dir", "dir/sub", "dir/1", "git.txt", "code", "p/q", "nope", ".", "sub", "model"])
        out = self.sub([("-o", lambda: self.pick(["imp", "x/imp", "d/imp", "a", "e"]))], 0.5)
        if x < 0.3:
            opts = self.sub(["-f", "--no-exec", "--no-download", ("--rev", lambda: self.pick(["v1", "main", "nope"])), ("-j", "2")], 0.17)
            self.dvc("import", *opts, *out, self.pick(["$TOP/src", "$TOP/src", "../src", "$TOP/plain"]), path)
            self.tracked.append(out[1] if out else path.rpartition("/")[2])
        elif x < 0.5:
            self.dvc("get", *self.sub(["-f", ("--rev", lambda: self.pick(["v1", "main", "nope"])), "--show-url", ("-j", "2")], 0.2),
                     *out, self.pick(["$TOP/src", "$TOP/src", "$TOP/plain", "."]), path, cwd=self.cwd())
        elif x < 0.75:
            o = self.pick(["iu", "x/iu", "d/iu"])
            self.dvc("import-url", *self.sub(["-f", "--no-exec", "--no-download", "--to-remote"], 0.17),
                     self.pick(["$TOP/ext/f", "$TOP/ext/dir", "$TOP/nope", "../ext/f", "a", "d", "$TOP/ext/empty"]),
                     *([o] if self.some(0.8) else []))
            self.tracked.append(o)
        elif x < 0.85:
            self.dvc("get-url", *self.sub(["-f", ("-j", "2")], 0.3), self.pick(["$TOP/ext/f", "$TOP/ext/dir", "$TOP/nope", "d"]),
                     *([self.pick(["gu", "x", "x/gu", "d/gu"])] if self.some(0.7) else []), cwd=self.cwd())
        else:
            self.sh(self.pick(["printf new > $TOP/ext/f", "printf n > $TOP/ext/dir/new", "rm -f $TOP/ext/dir/1",
                               "cd $TOP/src && printf up > git.txt && git commit -qam up", "true",
                               "cd $TOP/src && git checkout -q v1 && git checkout -q -B main"]))
            self.dvc("update", *self.sub(["-R", "--no-download", "--to-remote", ("--rev", lambda: self.pick(["v1", "main"])), ("-j", "2")], 0.12),
                     *(self.targets(none=0)))

    def settings(self):
        x = self.r.random()
        scope = self.sub(["--local", "--project", "--global"], 0.1)[:1]
        if x < 0.25:
            name = self.pick(["st", "st2", "St3", "we ird"])
            self.dvc("remote", "add", *scope, *self.sub(["-d", "-f"], 0.4), name, self.pick(["$TOP/store2", "../rel", "s3://b/p", "$TOP/store"]))
        elif x < 0.35:
            self.dvc("remote", "list", *scope)
        elif x < 0.45:
            self.dvc("remote", "default", *scope, *self.sub(["-u"], 0.2), *([self.remote()] if self.some(0.6) else []))
        elif x < 0.55:
            self.dvc("remote", "modify", *scope, *self.sub(["-u"], 0.2), self.remote(),
                     self.pick(["jobs", "verify", "nope", "shared", "url", "type"]), *([self.pick(["2", "true", "group", "x"])] if self.some(0.8) else []))
        elif x < 0.6:
            self.dvc("remote", "rename", *scope, self.remote(), self.pick(["st9", "st"]))
        elif x < 0.65:
            self.dvc("remote", "remove", *scope, self.remote())
        elif x < 0.9:
            key = self.pick(["core.autostage", "core.remote", "cache.type", "cache.shared", "core.nope", "nope", "core.analytics",
                             "remote.st.url", "cache.dir", "feature.x", "core.checksum_jobs"])
            val = self.pick([[], [], ["true"], ["copy"], ["hardlink"], ["symlink"], ["reflink,copy"], ["st"], ["2"], ["x"]])
            self.dvc("config", *scope, *self.sub(["-u"], 0.15), key, *val)
        else:
            self.dvc("config", *scope, "-l", *self.sub(["--show-origin"], 0.4))

    def misc(self):
        x = self.r.random()
        if x < 0.4:
            self.dvc("check-ignore", *self.sub(["-d", "-n"], 0.4), *(self.targets(none=0)), cwd=self.cwd())
        elif x < 0.5:
            self.dvc("root", cwd=self.cwd())
        elif x < 0.6:
            self.dvc("cache", "dir", *self.sub(["$TOP/cache2", "-u", "--local"], 0.2))
        elif x < 0.7:
            self.dvc("cache", "migrate", *self.sub(["--dry", "--dvc-files"], 0.4))
        elif x < 0.8:
            self.dvc(self.pick(["freeze", "unfreeze"]), self.target())
        else:
            self.list_url()

    def stages(self):
        x = self.r.random()
        name = self.pick(["s1", "s2"])
        if x < 0.4:
            out = {"s1": "so1", "s2": "so2"}[name]
            self.dvc("stage", "add", *self.sub(["-f"], 0.5), "-n", name, "-d", self.pick(self.files or ["a"]),
                     self.pick(["-o", "-O", "--outs-persist"]), out, f"cat {q((self.files or ['a'])[0])} > {out}; echo {name} >> {out}")
            self.tracked.append(out)
        elif x < 0.8:
            self.dvc("repro", *self.sub(["-f", "--no-commit", "-q", "--dry"], 0.1), *([name] if self.some(0.4) else []))
        else:
            self.dvc("stage", "list", *self.sub(["--all", "-R", "--name-only"], 0.3))

    def legacy(self):
        """A pointer of DVC 2 and its objects."""
        self.sh("printf 'a\\r\\nb\\r\\n' > leg.txt; printf 'outs:\\n- md5: dd8c6a395b5dd36c56d23275028f526c\\n  size: 6\\n  path: leg.txt\\n'"
                " > leg.txt.dvc; mkdir -p .dvc/cache/dd; cp leg.txt .dvc/cache/dd/8c6a395b5dd36c56d23275028f526c; "
                "chmod 444 .dvc/cache/dd/*; echo /leg.txt >> .gitignore")
        self.tracked.append("leg.txt")
        self.files.append("leg.txt")
        if self.some(0.6):
            self.sh("mkdir -p legd; printf 'a\\n' > legd/a; mkdir -p .dvc/cache/45 .dvc/cache/60; cp legd/a .dvc/cache/60/b725f10c9c85c70d97880dfe8191b3;"
                    " printf '[{\"md5\": \"60b725f10c9c85c70d97880dfe8191b3\", \"relpath\": \"a\"}]' > .dvc/cache/45/b1eb2ff8072c35f82255c3c22c1ae9.dir;"
                    " chmod 444 .dvc/cache/*/*; printf 'outs:\\n- md5: 45b1eb2ff8072c35f82255c3c22c1ae9.dir\\n  size: 2\\n  nfiles: 1\\n  path: legd\\n' > legd.dvc;"
                    " echo /legd >> .gitignore")
            self.tracked.append("legd")
            self.files.append("legd/a")


SOURCES = [
    Step("mkdir -p $TOP/ext/dir/s $TOP/ext/empty; printf 'ext\\n' > $TOP/ext/f; printf 1 > $TOP/ext/dir/1; printf 2 > $TOP/ext/dir/s/2"),
    Step("mkdir -p $TOP/plain/dir; cd $TOP/plain; git init -q; printf p > f.txt; printf q > dir/1; git add -A; git commit -qm p; git tag v1"),
    Step("mkdir -p $TOP/src; cd $TOP/src; git init -q"),
]


def in_src(*argv):
    return Step(argv=list(argv), cwd="../src")


SOURCES += [
    in_src("init", "-q"),
    in_src("remote", "add", "-q", "-d", "up", "../srcstore"),
    Step("cd $TOP/src; mkdir -p dir/sub p code; printf 'f\\n' > f.txt; printf 1 > dir/1; printf 2 > dir/sub/2; printf g > git.txt; printf c > code/c.py;"
         " printf q > p/q; printf m > model; ln -s git.txt lnk"),
    in_src("add", "-q", "f.txt", "dir", "p/q", "model"),
    in_src("push", "-q"),
    Step("cd $TOP/src; git add -A; git commit -qm one; git tag v1; printf 'f2\\n' > f.txt; printf 3 > dir/3"),
    in_src("add", "-q", "f.txt", "dir"),
    in_src("push", "-q"),
    Step("cd $TOP/src; git add -A; git commit -qm two"),
]


def prelude(g):
    kind = g.r.choices(["git", "noscm", "subdir", "nested"], [7, 1.2, 1, 0.8])[0]
    if g.topic in ("noscm", "subdir", "nested"):
        kind = g.topic
    g.scm = kind != "noscm"
    pre = []
    if kind == "noscm":
        pre += [dvc("init", "-q", "--no-scm")]
    elif kind == "subdir":
        pre += [Step("git init -q; mkdir proj; printf top > top.txt; git add -A; git commit -qm top"),
                dvc("init", "-q", "--subdir", cwd="proj"), Step("git commit -qm init")]
    else:
        pre += [Step("git init -q"), dvc("init", "-q"), Step("git commit -qm init")]
        if kind == "nested":
            pre += [Step("mkdir -p sub"), dvc("init", "-q", "--subdir", cwd="sub"),
                    Step("printf n > sub/n; mkdir sub/nd; printf m > sub/nd/m"), dvc("add", "-q", "n", "nd", cwd="sub"),
                    Step("git add -A; git commit -qm nested")]
    pre += [Step("mkdir -p $TOP/store $TOP/store2")]
    at = "proj" if kind == "subdir" else "."
    if g.some(0.9):
        # Absolute: of a revision DVC takes a relative one from the root of the file system, and writes there.
        pre += [dvc("remote", "add", "-q", "-d", "st", "$TOP/store", cwd=at),
                dvc("remote", "add", "-q", "st2", "$TOP/store2", cwd=at)]
        g.remotes = ["st", "st", "st2"]
    if g.some(0.25):
        pre += [dvc("config", "-q", "cache.type", g.pick(["hardlink", "symlink", "copy", "symlink,copy"]), cwd=at)]
    if g.some(0.1) and g.scm:
        pre += [dvc("config", "-q", "core.autostage", "true", cwd=at)]
    if g.scm:
        pre += [Step("git add -A; git commit -qm conf")]
    if at != ".":
        return pre, at
    if kind == "nested":
        g.files += ["sub/n", "sub/nd/m"]
        g.cwds.append("sub")
    return pre, at


def generate(seed, length=12, topic=None):
    """-> (prelude, steps)"""
    g = Gen(seed, topic)
    pre, at = prelude(g)
    for name in g.r.sample(g.names, g.r.randint(2, 6)):
        g.write(name)
    if g.some(0.12):
        g.legacy()
    for _ in range(g.r.randint(1, 3)):
        g.add()
    if g.some(0.7):
        g.git()
    if g.some(0.5):
        g.cwds += [x for x in ("d", "x", "e") if g.some(0.15)]
    table = [(g.change, 26), (g.git, 6), (g.add, 9), (g.part, 4), (g.clone, 1.5), (g.status, 6), (g.data_status, 7), (g.diff, 5), (g.checkout, 8), (g.commit, 5),
             (g.remove, 2.5), (g.move, 3), (g.unprotect, 1.5), (g.transfer, 11), (g.gc, 5), (g.listing, 5), (g.imports, 6),
             (g.settings, 3), (g.misc, 3), (g.stages, 3)]
    ops, weights = zip(*[(f, w) for f, w in table if topic is None or f.__name__ in ("change", "git", "add", "part") or topic in f.__name__
                         or topic in ("noscm", "subdir", "nested")])
    if topic not in (None, "imports"):
        ops, weights = zip(*[(f, w) for f, w in zip(ops, weights) if f != g.imports])
    for _ in range(length):
        g.r.choices(ops, weights)[0]()
    for s in g.steps:
        if at != ".":
            s.cwd = at if s.cwd == "." else f"{at}/{s.cwd}"
    return list(SOURCES) if topic in (None, "imports") else [], pre + g.steps
