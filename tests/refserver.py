"""A long-lived process of the reference tool: each request is one command line, run by a fork of it.

Importing DVC takes longer than most of its commands; here that is paid once. Run by the interpreter that has DVC; one
JSON object a line on standard input: {"argv", "cwd", "env", "out", "err"}; answered by {"code"}. The fork has
exactly the given environment, standard input from /dev/null, and its output in the named files.
"""
import gc
import importlib
import json
import os
import pkgutil
import sys


def load(name):
    """A module, and the modules of its package; what is optional and missing is left out."""
    try:
        mod = importlib.import_module(name)
        if name.startswith(("dvc", "scmrepo")):
            for m in pkgutil.walk_packages(getattr(mod, "__path__", []), name + "."):
                load(m.name)
    except ImportError:
        pass


def preload():
    import dvc.cli
    import dvc.cli.parser
    for name in ("dvc.commands", "dvc.repo", "dvc.stage", "dvc.fs", "dvc.dependency", "dvc_data.hashfile",
                 "dvc_data.index", "scmrepo.git", "networkx", "configobj", "dvc.utils.strictyaml", "dvc.output",
                 "dvc.data_cloud", "dvc.ignore", "dvc_render", "flatten_dict", "http.client", "urllib.request",
                 "dvc.cachemgr", "dvc.dirs", "platformdirs", "rich.console", "rich.live", "rich.prompt", "dvc_data.fs",
                 "fsspec.implementations.memory", "dulwich.worktree", "dulwich.trailers"):
        load(name)
    dvc.cli.parser.get_main_parser()
    gc.collect()
    gc.freeze()


def child(req):
    os.setsid()
    for fd, path, flags in ((0, os.devnull, os.O_RDONLY), (1, req["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
                            (2, req["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)):
        f = os.open(path, flags, 0o600)
        os.dup2(f, fd)
        os.close(f)
    os.environ.clear()
    os.environ.update(req["env"])
    os.chdir(req["cwd"])
    sys.argv = ["dvc", *req["argv"]]
    from dvc.cli import main
    try:
        code = main(req["argv"])
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 1 if exc.code else 0
    except BaseException:
        import traceback
        traceback.print_exc()
        code = 70
    for f in (sys.stdout, sys.stderr):
        try:
            f.flush()
        except OSError:
            pass
    os._exit((code or 0) & 255)


def serve(inp, out):
    preload()
    out.write('{"ready": true}\n')
    out.flush()
    for line in inp:
        pid = os.fork()
        if pid == 0:
            try:
                child(json.loads(line))
            finally:
                os._exit(71)
        _, status = os.waitpid(pid, 0)
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
        out.write(json.dumps({"code": code, "pid": pid}) + "\n")
        out.flush()


if __name__ == "__main__":
    # The pipe to the asker is moved out of the way of the forks' own standard streams.
    inp, out = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(2, 1)
    serve(inp, out)
