"""Processes that outlive the command that started them: started, known again, stopped by their id.

An id alone is not a process: it is given to another one later. A record holds beside it when the process was born and in
which boot, and nothing is signalled that differs in either.
"""

import json
import os
import random
import select
import signal
import socket
import subprocess
import time
from pathlib import Path


class Missing(Exception):
    """Why a server cannot be had, in one line."""


class Process:
    """The process of one server, as its record tells; there may be none."""

    def __init__(self, record):
        self.record = record

    def start(self, command, log, **options):
        """Starts `command` on its own, with its output at the end of `log`, and writes the record."""
        with open(log, "ab") as output:
            child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, **options,
            )
        self.record.write_text(json.dumps({"pid": child.pid, "birth": birth(child.pid)}) + "\n")

    def pid(self):
        """The id of the process if it still runs, else nothing."""
        try:
            known = json.loads(self.record.read_text())
        except (FileNotFoundError, ValueError):
            return None
        alive = known["birth"] is not None and birth(known["pid"]) == known["birth"]
        return known["pid"] if alive else None

    def stop(self, how=signal.SIGTERM, patience=40):
        """Stops the process and says how that went."""
        pid = self.pid()
        if pid is None:
            self.record.unlink(missing_ok=True)
            return "was not running"
        # The descriptor stays with this very process, whoever gets its number later.
        descriptor = os.pidfd_open(pid)
        try:
            if self.pid() != pid:
                return "ended by itself"
            signal.pidfd_send_signal(descriptor, how)
            said = f"stopped, pid {pid}"
            if not ended(descriptor, patience):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                ended(descriptor, patience)
                said = f"killed, pid {pid}: it did not stop within {patience} s"
        finally:
            os.close(descriptor)
        self.record.unlink(missing_ok=True)
        return said

    def wait(self, ready, patience, log):
        """Asks `ready` until it answers, and returns the answer; a process that ends or takes too long is Missing."""
        deadline = time.monotonic() + patience
        while True:
            try:
                return ready()
            except UNREADY as error:
                refusal = error
            if self.pid() is None:
                raise Missing(f"it ended at start; what it said: {log}")
            if time.monotonic() > deadline:
                raise Missing(f"not ready within {patience} s ({' '.join(str(refusal).split())}); what it said: {log}")
            time.sleep(0.1)


class NotYet(Exception):
    """A server answered, but not as one that is ready."""


# What asking a server that is not ready may come to.
UNREADY = (OSError, subprocess.SubprocessError, NotYet)


def ended(descriptor, patience):
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(patience * 1000))


def birth(pid):
    """When and in which boot a process was born; nothing if it has ended, buried or not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return born(stat, boot)


def born(stat, boot):
    """The birth that a line of /proc/PID/stat tells. The name of the program stands in brackets and may hold some itself."""
    fields = stat.rpartition(")")[2].split()
    state, ticks = fields[0], fields[19]
    return None if state in "ZX" else f"{boot}/{ticks}"


def free_port(addresses, wanted=None):
    """A port that is free at every one of `addresses`: `wanted` if it can be."""
    # Below the ports that outgoing connections get, so that it is still free after a pause.
    candidates = random.sample(range(20_000, 32_000), 200)
    for port in [wanted, *candidates] if wanted else candidates:
        if all(free(address, port) for address in addresses):
            return port
    raise Missing(f"no free port at {', '.join(addresses)}: are these addresses of this machine?")


def free(address, port):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
        except OSError:
            return False
    return True
