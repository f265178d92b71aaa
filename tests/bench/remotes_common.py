"""What the kinds of servers of remotes.py share."""
import os
import shutil
import subprocess
import uuid

from servers.base import Missing, program

MANY = 1000             # files of a tree that is put aside rather than removed


def put_away(path, aside):
    """Removes a tree, if its files are few: after many were removed, ext4 is slow at creating some for a minute."""
    if not path.exists():
        return
    if sum(len(names) for _, _, names in os.walk(path)) < MANY:
        subprocess.run(["chmod", "-R", "u+w", path], check=False)
        shutil.rmtree(path, ignore_errors=True)
        return
    aside.mkdir(exist_ok=True)
    os.rename(path, aside / uuid.uuid4().hex)


class Spot:
    """An empty place: a directory below kind.root, or a prefix where the server has no directories."""

    def __init__(self, kind, port):
        self.name, self.port, self.options, self.env = uuid.uuid4().hex[:12], port, {}, {}
        self.base = kind.root / self.name if kind.root else None


class Kind:
    """See remotes.Kind for what each method promises. serve(directory): the server, not started; place: a Spot."""

    name = program = serve = None
    place, root = Spot, None

    def __init__(self):
        program(*self.program)

    def start(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        self.dir, self.server = directory, self.serve(directory).start()
        self.port = self.server.port
        return self

    def stop(self):
        self.server.stop()

    def fresh(self, port=None):
        spot = self.place(self, port or self.port)
        if spot.base:
            spot.base.mkdir(parents=True)
        return spot

    def objects(self, spot):
        return {str(p.relative_to(spot.base)): p.stat().st_size for p in spot.base.rglob("*") if p.is_file()}

    def remove(self, spot):
        put_away(spot.base, self.dir / "aside")

    def tools(self):
        return {"rclone": self.rclone}

    def copiers(self):
        out = {}
        for name, make in self.tools().items():
            try:
                out[name] = (program(name), make)
            except Missing:
                print(f"  ({name} is not installed)", flush=True)
        return out

    def rclone(self, prog, spot, direction, tree):
        settings, there, more, at_once = self.for_rclone(spot, direction)
        env = {f"RCLONE_CONFIG_R_{k.upper()}": str(v) for k, v in settings.items()}
        ends = [str(tree), f"R:{there}"] if direction == "push" else [f"R:{there}", str(tree)]
        return [prog, "copy", *more, "--transfers", str(at_once), "--checkers", str(at_once), *ends], {
            **env, "RCLONE_CONFIG": os.devnull}
