"""The folder in which the servers live.

`env` tells tests their addresses, `settings.json` what the data was made for, and each server has a folder of its own with
`process.json` (which process it is), `log` and its data.
"""

import fcntl
import json
import os
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path

from process import Missing

# The first line of `env`; one without it was written by hand, for servers that others started.
TOLD = "# Written by ./dev infra up.\n"

# What may be taken away: nothing else in the folder is ours.
OURS = ["postgres", "nats", "cassandra-1", "cassandra-2", "cassandra-3", "env", "settings.json", "lock"]


class Folder:
    """One folder of servers."""

    def __init__(self, path):
        self.path = Path(path).absolute()

    def of(self, server):
        """The folder of a server."""
        folder = self.path / server
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def locked(self):
        """Holds the folder for itself: two `up` at once are one after the other."""
        while True:
            self.path.mkdir(parents=True, exist_ok=True)
            with open(self.path / "lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                # Whoever had it may have wiped the folder, and the lock with it.
                if not same(lock, self.path / "lock"):
                    continue
                yield
                return

    # Settings

    def settings(self):
        try:
            return json.loads((self.path / "settings.json").read_text())
        except FileNotFoundError:
            return {}
        except PermissionError as error:
            raise Missing(f"{self.path} belongs to somebody else") from error

    def keep(self, settings):
        write_private(self.path / "settings.json", json.dumps(settings, indent=1) + "\n")

    def agree(self, bind, nodes):
        """The settings: new ones, to be kept once they hold, or those that the data was made for, from which none may differ."""
        settings = self.settings()
        if not settings:
            return {"bind": bind or "127.0.0.1", "nodes": nodes or 1, "password": secrets.token_hex(12), "ports": {}}
        if bind not in (None, settings["bind"]) or nodes not in (None, settings["nodes"]):
            raise Missing(
                f"{self.path} holds data of {settings['nodes']} node(s) at {settings['bind']}. For others:"
                " ./dev infra down --wipe, or name another folder by GUILDHALL_INFRA"
            )
        return settings

    # Addresses

    def tell(self, addresses):
        """Writes down where the servers are, for tests."""
        lines = "".join(f"{key}={' '.join(value.split())}\n" for key, value in addresses.items())
        write_private(self.path / "env", TOLD + lines)

    def told_by_others(self):
        try:
            return not (self.path / "env").read_text().startswith(TOLD)
        except FileNotFoundError:
            return False

    def untell(self):
        (self.path / "env").unlink(missing_ok=True)

    def wipe(self):
        """Takes away everything of ours, and the folder if nothing else is in it."""
        for name in OURS:
            found = self.path / name
            if found.is_dir():
                shutil.rmtree(found)
            else:
                found.unlink(missing_ok=True)
        if not any(self.path.iterdir()):
            self.path.rmdir()


def same(opened, path):
    try:
        return os.path.samestat(os.fstat(opened.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def write_private(file, text):
    """Writes a file that only its owner reads, whole or not at all."""
    new = file.with_name(file.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    new.rename(file)
