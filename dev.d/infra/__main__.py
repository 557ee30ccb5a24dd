"""The servers of Guildhall's tests as ordinary processes of this machine: `./dev infra` calls this.

Reading order: the words here; folder.py and process.py, which they stand on; then a file per server. tests.py looks at what
needs no server; the rest is seen by starting them.
"""

import argparse
import ipaddress
import os
import signal
import sys
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cassandra
import nats
import postgres
from folder import Folder
from process import UNREADY, Missing

ROOT = Path(__file__).resolve().parents[2]
NAMES = [nats.NAME, postgres.NAME, "cassandra"]


def main():
    wanted = arguments().parse_args()
    folder = Folder(ROOT / (os.environ.get("GUILDHALL_INFRA") or "target/infra"))
    words = {"up": up, "status": status, "down": down, "fetch": obtain, "self-test": self_test}
    try:
        return words[wanted.word](folder, wanted)
    except Missing as refusal:
        say(str(refusal))
        return 2
    except KeyboardInterrupt:
        say("interrupted: ./dev infra down stops what was started")
        # Ended by the signal, not beside it: otherwise a shell above takes it for dealt with and goes on.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)


def arguments():
    parser = argparse.ArgumentParser(prog="./dev infra", description=__doc__.splitlines()[0])
    words = parser.add_subparsers(dest="word", required=True)
    word = words.add_parser("up", help="start what does not run yet")
    word.add_argument("--bind", type=address, help="the address to listen at; anybody who reaches it may use the servers (127.0.0.1)")
    word.add_argument("--nodes", type=int, choices=[1, 3], help="how many Cassandra nodes (1)")
    word.add_argument("--only", type=names, default=NAMES, help=f"some of {','.join(NAMES)} (all)")
    words.add_parser("status", help="say what runs; 0 if everything is ready, else 1")
    word = words.add_parser("down", help="stop everything")
    word.add_argument("--wipe", action="store_true", help="and forget all data")
    words.add_parser("fetch", help="fetch what is missing, without starting anything")
    words.add_parser("self-test", help="look at what needs no server")
    return parser


def names(text):
    """Names of servers, with commas between them."""
    wanted = text.split(",")
    if unknown := [name for name in wanted if name not in NAMES]:
        raise argparse.ArgumentTypeError(f"no server is called {unknown[0]}")
    return wanted


def address(text):
    """One IPv4 address of this machine."""
    found = ipaddress.IPv4Address(text)
    if found.is_unspecified:
        raise argparse.ArgumentTypeError("one address: the servers tell it to their clients")
    return str(found)


# Words


def up(folder, wanted):
    if wanted.nodes == 3 and wanted.bind not in (None, "127.0.0.1"):
        raise Missing("three Cassandra nodes need three addresses, 127.0.0.1 to 127.0.0.3: leave --bind out")
    with folder.locked():
        if folder.told_by_others():
            raise Missing(f"{folder.path}/env was written by hand: tests use the servers that it names already")
        settings = folder.agree(wanted.bind, wanted.nodes)
        if not settings["bind"].startswith("127."):
            say(f"NATS and Cassandra ask nobody who they are: whoever reaches {settings['bind']} may use them")
        groups = zip(NAMES, grouped(servers(folder, settings)))
        groups = [group for name, group in groups if name in wanted.only]
        for server in sum(groups, []):
            if server.process.pid() is None:
                server.prepare()
        # Before anything starts: whoever comes after a crash has to find it.
        folder.keep(settings)
        # Side by side, but node after node.
        with ThreadPoolExecutor(3) as pool:
            answers = pool.map(start, groups)
        known = {}
        for answer in answers:
            known |= answer
        folder.tell(known)
    print(f"addresses: {folder.path}/env")
    return 1 if any(key.endswith("_MISSING") for key in known) else 0


def start(group):
    """Starts servers one after the other and returns their lines for the file of addresses."""
    try:
        for server in group:
            began = time.monotonic()
            ran = server.process.pid() is not None
            version = server.up()
            how = "already up" if ran else f"ready after {time.monotonic() - began:.1f} s"
            say(f"{server.name} {version} {how} at {server.address()}")
    except (Missing, *UNREADY) as refusal:
        say(f"NO {server.name}: {refusal}")
        if server.process.pid() is not None:
            say(f"{server.name}: {server.down()}")
        return {f"{server.key}_MISSING": str(refusal)}
    return cassandra.addresses(group) if server.key == cassandra.KEY else server.addresses()


def status(folder, _wanted):
    if folder.told_by_others():
        say(f"{folder.path}/env was written by hand: the servers that it names are not started from here")
        return 0
    settings = folder.settings()
    if not settings:
        say(f"nothing was started in {folder.path}")
        return 1
    print(f"folder {folder.path}")
    ready = 0
    every = flat(servers(folder, settings))
    for server in every:
        pid = server.process.pid()
        if pid is None:
            print(f"{server.name:<12} down")
            continue
        version = asked(server)
        ready += version is not None
        how = "ready" if version else "not ready"
        print(f"{server.name:<12} {how:<9}  {server.address()}  pid {pid}  {version or '-'}  {server.data}")
    return 0 if ready == len(every) else 1


def asked(server):
    """The version of a server that is ready, else nothing."""
    try:
        return server.version()
    except (Missing, *UNREADY):
        return None


def down(folder, wanted):
    if not folder.settings():
        say(f"nothing was started in {folder.path}")
        return 0
    with folder.locked():
        folder.untell()
        every = flat(servers(folder, folder.settings()))
        for server in every:
            say(f"{server.name}: {server.down()}")
        if wanted.wipe:
            for server in every:
                if server.name == postgres.NAME:
                    server.wipe()
            folder.wipe()
            say(f"{folder.path}: data forgotten")
    return 0


def obtain(_folder, _wanted):
    missing = 0
    for module, name in ((nats, "NATS"), (postgres, "PostgreSQL"), (cassandra, "Cassandra")):
        try:
            module.obtain()
        except Missing as refusal:
            missing += 1
            say(f"NO {name}: {refusal}")
    return 1 if missing else 0


def self_test(_folder, _wanted):
    suite = unittest.defaultTestLoader.discover(str(Path(__file__).parent), "tests.py")
    return 0 if unittest.TextTestRunner(verbosity=0).run(suite).wasSuccessful() else 1


def servers(folder, settings):
    """NATS, PostgreSQL and the list of Cassandra's nodes. They share the settings, and write the ports they chose into them."""
    nodes = [cassandra.Cassandra(folder, settings, number) for number in range(1, settings["nodes"] + 1)]
    return nats.Nats(folder, settings), postgres.Postgres(folder, settings), nodes


def grouped(three):
    """Each with those that start after it, in the order of NAMES."""
    one, other, nodes = three
    return [[one], [other], nodes]


def flat(three):
    return sum(grouped(three), [])


def say(line):
    print(f"infra: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
