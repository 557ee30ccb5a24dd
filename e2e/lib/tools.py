"""What the clients are made of: pinned packages, kept outside the tree and installed when they are missing or other ones."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from hall import E2E

PROTO = E2E.parent / "proto"
THIRD_PARTY = PROTO / "third_party"
CACHE = Path(os.environ.get("GUILDHALL_DEV_CACHE") or Path.home() / ".cache" / "guildhall-dev")
GRPCURL = "v1.9.3"


def javascript():
    """The folder with the JavaScript clients, their packages and their stubs."""
    folder = CACHE / "e2e-js"
    pins = ["package.json", "package-lock.json"]
    if changed(folder, [E2E / pin for pin in pins]):
        say("installing from npm what e2e/package.json pins")
        fresh(folder)
        for pin in pins:
            shutil.copy(E2E / pin, folder)
        # No package needs its install script.
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", cwd=folder)
        keep(folder, [E2E / pin for pin in pins])
    # Node looks for packages beside the file that wants them.
    for file in (E2E / "js").glob("*.mjs"):
        shutil.copy(file, folder)
    stubs = folder / "gen"
    if changed(stubs, protos()):
        fresh(stubs)
        plugin = folder / "node_modules/.bin/protoc-gen-es"
        run("protoc", f"-I{PROTO}", f"-I{THIRD_PARTY}", f"--plugin={plugin}", f"--es_out={stubs}",
            "--es_opt=target=js,import_extension=js", *names())
        keep(stubs, protos())
    return folder


def python():
    """The Python with the packages of e2e/requirements.txt, and the folder with its stubs."""
    folder = CACHE / "e2e-python"
    pins = [E2E / "requirements.txt"]
    if changed(folder, pins):
        say("installing from PyPI what e2e/requirements.txt pins")
        fresh(folder)
        run(sys.executable, "-m", "venv", folder)
        run(folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "-r", *pins)
        keep(folder, pins)
    stubs = folder / "gen"
    if changed(stubs, protos()):
        fresh(stubs)
        run(folder / "bin/python", "-m", "grpc_tools.protoc", f"-I{PROTO}", f"-I{THIRD_PARTY}",
            f"--python_out={stubs}", f"--grpc_python_out={stubs}", *names())
        keep(stubs, protos())
    return folder / "bin/python", stubs


def buf():
    """buf, which speaks gRPC from the command line where there is no grpcurl."""
    return python()[0].parent / "buf"


def grpcurl():
    """grpcurl, or nothing where there is no Go to compile it."""
    if found := shutil.which("grpcurl"):
        return Path(found)
    program = CACHE / f"grpcurl-{GRPCURL}" / "grpcurl"
    if not program.exists():
        if not shutil.which("go"):
            return None
        say(f"compiling grpcurl {GRPCURL}, once (a minute)")
        environment = os.environ | {"GOBIN": str(program.parent)}
        run("go", "install", f"github.com/fullstorydev/grpcurl/cmd/grpcurl@{GRPCURL}", env=environment)
    return program


def protos():
    return sorted(PROTO.rglob("*.proto"))


def names():
    """The protos as they import each other."""
    return [file.relative_to(THIRD_PARTY if THIRD_PARTY in file.parents else PROTO) for file in protos()]


# A folder holds what it was made from: the same files again need nothing done.

def changed(folder, files):
    made = folder / "made-from"
    return not made.exists() or made.read_text() != digest(files)


def keep(folder, files):
    (folder / "made-from").write_text(digest(files))


def digest(files):
    whole = hashlib.sha256()
    for file in files:
        whole.update(file.read_bytes())
    return whole.hexdigest()


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"e2e: {command[0]} {command[1]} did not succeed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")


def say(text):
    print(f"e2e: {text}", file=sys.stderr, flush=True)
