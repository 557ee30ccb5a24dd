"""What is fetched: kept in the folder of dev's helpers, with its version in its name, whole or not at all."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from process import Missing


def cache():
    """The folder for what is fetched; it may be deleted any time."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GUILDHALL_DEV_CACHE") or Path(home) / "guildhall-dev")


def kept(name, make):
    """The folder `name` of the cache; where there is none, what `make(folder, room)` made, with `room` for what it needs meanwhile."""
    folder = cache() / name
    if not folder.exists():
        cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=cache()) as room:
            made = Path(room) / "made"
            made.mkdir()
            make(made, Path(room))
            try:
                made.rename(folder)
            except OSError:
                # Somebody else was faster.
                if not folder.exists():
                    raise
    return folder


def run(what, command, **options):
    """Runs a command quietly; where it fails, `what` could not be done, and the end of its output says why."""
    command = [str(part) for part in command]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **options
        )
    except OSError as error:
        raise Missing(f"{what}: {error}") from error
    if done.returncode:
        raise Missing(f"{what}: {why(done.stdout) or f'{command[0]} ended with {done.returncode}'}")
    return done.stdout


def why(text):
    """The line of an output that says what went wrong: the first that speaks of an error, else the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines[-1:] or [""])[0][:300]


def program(name):
    """Where a program is, or nothing."""
    found = shutil.which(name)
    return Path(found) if found else None
