"""PostgreSQL from the packages of the system, in a data folder of its own."""

import hashlib
import os
import pwd
import re
import shutil
import signal
import subprocess
from pathlib import Path

import fetch
from folder import write_private
from process import Missing, NotYet, Process, free_port

OLDEST = 15

NAME = "postgres"
KEY = "POSTGRES"
PATIENCE = 60
USER = DATABASE = "guildhall"

# Everybody with the password, from wherever the server listens.
HBA = "host all all all scram-sha-256\n"


def obtain():
    """The folder with the programs of the newest PostgreSQL here."""
    found = [(version(path), path) for path in candidates()]
    new = [(number, path) for number, path in found if number >= OLDEST]
    if not new:
        older = f"; found {max(found)[0]}" if found else ""
        raise Missing(f"no PostgreSQL {OLDEST} or newer here (Debian: apt-get install postgresql){older}")
    return max(new)[1]


def candidates():
    folders = list(Path("/usr/lib/postgresql").glob("*/bin"))
    if on_path := fetch.program("postgres"):
        folders.append(on_path.resolve().parent)
    return [folder for folder in folders if all((folder / name).exists() for name in ("postgres", "initdb", "psql"))]


def version(folder):
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True).stdout
    return major(said)


def major(said):
    """The 15 of `postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)`."""
    found = re.search(r"\) (\d+)", said)
    return int(found[1]) if found else 0


class Postgres:
    """The one server. It refuses to run as root: started by root it runs as `postgres` or `nobody`."""

    def __init__(self, folder, settings):
        self.folder, self.settings = folder, settings
        self.place = folder.path / NAME
        self.process = Process(self.place / "process.json")
        self.name, self.key = NAME, KEY

    @property
    def data(self):
        return self.home() / "data"

    def prepare(self):
        """Decides what is kept in the settings."""
        ports = self.settings["ports"]
        ports[NAME] = free_port([self.settings["bind"]], ports.get(NAME))
        if "postgres_home" not in self.settings:
            enterable = not self.identity() or self.enters(self.folder.path)
            self.settings["postgres_home"] = str(self.place if enterable else elsewhere(self.folder.path))

    def up(self):
        """Starts the server unless it runs, and returns its version once it is ready."""
        programs = obtain()
        if self.process.pid() is None:
            self.folder.of(NAME)
            self.make_home()
            if not self.data.exists():
                self.make_data(programs)
            self.process.start([programs / "postgres", *self.flags()], self.place / "log", cwd="/", **self.identity())
        said = self.process.wait(self.version, PATIENCE, self.place / "log")
        if not self.ask(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"):
            self.ask(f"CREATE DATABASE {DATABASE}")
        return said

    def flags(self):
        settings = {
            "listen_addresses": self.settings["bind"],
            "port": self.settings["ports"][NAME],
            "unix_socket_directories": "",
            "max_connections": 300,
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
        }
        return ["-D", self.data] + [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]

    def address(self):
        port = self.settings["ports"].get(NAME)
        return f"{self.settings['bind']}:{port}" if port else None

    def addresses(self):
        return {"POSTGRES_URL": f"postgres://{USER}:{self.settings['password']}@{self.address()}/{DATABASE}"}

    def version(self):
        """Speaks to the server and returns its version."""
        return self.ask("SELECT split_part(current_setting('server_version'), ' ', 1)")

    def ask(self, statement):
        """The answer of the server to one statement."""
        host, port = self.address().split(":")
        # Not what the caller may have set for other servers.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        done = subprocess.run(
            [obtain() / "psql", "-X", "-A", "-t", "-q", "-h", host, "-p", port, "-U", USER, "-d", "postgres", "-c", statement],
            env=environment | {"PGPASSWORD": self.settings["password"], "PGCONNECT_TIMEOUT": "2"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
        )
        if done.returncode:
            raise NotYet(fetch.why(done.stderr))
        return done.stdout.strip()

    def down(self):
        # Fast: it does not wait for who is connected.
        return self.process.stop(signal.SIGINT)

    # Whose it is

    def identity(self):
        """As whom the server runs, as options of a process: nothing unless we are root."""
        if os.geteuid():
            return {}
        account = unprivileged()
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}

    def home(self):
        """Where the data is: in the server's own folder, unless that is not to be entered by whom the server runs as."""
        return Path(self.settings.get("postgres_home") or self.place)

    def make_home(self):
        home = self.home()
        if home != self.place and not home.exists():
            os.mkdir(home, 0o700)
        if self.identity():
            take(home, unprivileged())

    def enters(self, path):
        """Whether whom the server runs as gets into a folder: not into one below /root, for instance."""
        return subprocess.run(["test", "-x", path], cwd="/", **self.identity()).returncode == 0

    def make_data(self, programs):
        """A new data folder, renamed to its name only once it is whole."""
        new, password = self.home() / "new", self.home() / "password"
        shutil.rmtree(new, ignore_errors=True)
        write_private(password, self.settings["password"])
        if self.identity():
            shutil.chown(password, unprivileged().pw_uid)
        try:
            fetch.run(
                "making the data folder of PostgreSQL",
                [programs / "initdb", "-D", new, "-U", USER, f"--pwfile={password}", "--auth=scram-sha-256",
                 "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"],
                cwd="/", **self.identity(),
            )
        finally:
            password.unlink()
        # Written into, not replaced: the file stays whose it is.
        (new / "pg_hba.conf").write_text(HBA)
        new.rename(self.data)

    def wipe(self):
        """Takes away the data that does not lie in the folder."""
        if self.home() != self.place:
            shutil.rmtree(self.home(), ignore_errors=True)


def unprivileged():
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Missing("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")


def elsewhere(path):
    """A folder outside of `path`, the same every time."""
    return Path("/var/tmp") / f"guildhall-infra-{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"


def take(home, account):
    """Gives a folder to an account, unless it is a third one's: in /var/tmp anybody can make folders."""
    found = os.lstat(home)
    if home.is_symlink() or found.st_uid not in (0, account.pw_uid):
        raise Missing(f"{home} belongs to somebody else")
    os.chown(home, account.pw_uid, account.pw_gid)
