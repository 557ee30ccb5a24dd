"""A hall of its own: the real server on free ports and an empty folder, for as long as a `with` lasts."""

import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

E2E = Path(__file__).resolve().parent.parent
READY = re.compile(r"guildhall ready http=(\S+) admin=(\S+)")
# A server in a debug build on a busy machine.
STARTING = 60
STOPPING = 30


class Hall:
    """The addresses `http` and `admin`, each "127.0.0.1:port", and the process id `pid`."""

    def __enter__(self):
        binary = os.environ.get("GUILDHALL_BIN")
        if not binary or not Path(binary).is_file():
            sys.exit("e2e: GUILDHALL_BIN does not name a server; ./dev test builds one and says where it is")
        self.folder = tempfile.TemporaryDirectory(prefix="guildhall-e2e-")
        self.log = Path(self.folder.name, "log")
        free = "127.0.0.1:0"
        command = [binary, "--config", E2E / "hall.toml", "serve", "--listen", free, "--admin-listen", free]
        # What is set for other halls on this machine does not count here.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GUILDHALL_")}
        self.process = subprocess.Popen(
            [*command, "--data", Path(self.folder.name, "data")],
            stdout=subprocess.PIPE, stderr=self.log.open("w"), text=True, env=environment,
        )
        self.pid = self.process.pid
        line = self.process.stdout.readline()
        if not (ready := READY.match(line)):
            self.__exit__()
            sys.exit(f"e2e: the server says {line!r} where it should say that it is ready")
        self.http, self.admin = ready.groups()
        return self

    def __exit__(self, kind=None, *_):
        self.process.terminate()
        try:
            status = self.process.wait(STOPPING)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = f"nothing within {STOPPING} s of SIGTERM; it was killed"
        log = self.log.read_text(errors="replace")
        self.folder.cleanup()
        if kind or status != 0:
            print(f"the end of the hall's log:\n{log[-4000:]}", file=sys.stderr)
        if status != 0 and not kind:
            raise RuntimeError(f"the hall was told to stop and ended with {status}")

    def call(self, method, path, body=None, token=None, ok=True):
        """One call by REST. Gives the status and the answer; with `ok` anything but 200 is an error."""
        request = urllib.request.Request(f"http://{self.http}/api/v1{path}", method=method)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refusal:
            text = refusal.read().decode(errors="replace")
            if ok:
                raise RuntimeError(f"{method} {path}: {refusal.code} {text}") from None
            return refusal.code, text
