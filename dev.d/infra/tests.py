"""What needs no server: `./dev check infra` runs it."""

import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import cassandra
import cql
import fetch
import nats
import postgres
from folder import OURS, Folder, same
from process import Missing, NotYet, Process, born, ended, free, free_port

SLEEP = ["sleep", "60"]


class Scratch(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.path = Path(scratch.name)


class Processes(Scratch):
    def setUp(self):
        super().setUp()
        self.process = Process(self.path / "process.json")
        self.addCleanup(self.process.stop, signal.SIGKILL)

    def start(self, command):
        self.process.start(command, self.path / "log")
        return self.process.pid()

    def test_a_started_process_is_known_again_from_its_record(self):
        pid = self.start(SLEEP)

        self.assertIsNotNone(pid)
        self.assertEqual(Process(self.path / "process.json").pid(), pid)

    def test_stopping_says_which_process_and_forgets_it(self):
        pid = self.start(SLEEP)

        self.assertEqual(self.process.stop(), f"stopped, pid {pid}")
        self.assertIsNone(self.process.pid())
        self.assertEqual(self.process.stop(), "was not running")

    def test_a_process_that_does_not_heed_is_killed_and_that_is_said(self):
        # It says when it no longer heeds.
        deaf = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
        pid = self.start([sys.executable, "-c", deaf])
        self.process.wait(lambda: self.said("deaf"), 10, "log")

        self.assertEqual(self.process.stop(patience=0.2), f"killed, pid {pid}: it did not stop within 0.2 s")

    def test_another_process_with_the_same_id_is_left_alone(self):
        child = subprocess.Popen(SLEEP)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.process.record.write_text(json.dumps({"pid": child.pid, "birth": "another boot/1"}))

        self.assertIsNone(self.process.pid())
        self.assertEqual(self.process.stop(), "was not running")
        self.assertIsNone(child.poll())

    def test_a_dead_process_that_nobody_buried_counts_as_ended(self):
        child = subprocess.Popen(["true"])
        self.addCleanup(child.wait)
        descriptor = os.pidfd_open(child.pid)
        self.addCleanup(os.close, descriptor)
        self.assertTrue(ended(descriptor, 10))
        self.process.record.write_text(json.dumps({"pid": child.pid, "birth": "any"}))

        self.assertIsNone(self.process.pid())

    def test_a_broken_record_is_no_process(self):
        self.process.record.write_text("")

        self.assertIsNone(self.process.pid())

    def test_the_output_of_a_process_goes_to_the_end_of_its_log(self):
        (self.path / "log").write_text("earlier\n")

        self.start(["sh", "-c", "echo out; echo err >&2; exec sleep 60"])

        self.process.wait(lambda: self.said("earlier\nout\nerr\n"), 10, "log")

    def test_a_process_that_ends_at_start_is_told_with_its_log(self):
        self.start(["false"])

        with self.assertRaisesRegex(Missing, "it ended at start; what it said: the/log"):
            self.process.wait(self.never, 10, "the/log")

    def test_a_process_that_is_never_ready_is_told_with_what_it_answered(self):
        self.start(SLEEP)

        with self.assertRaisesRegex(Missing, r"not ready within 0.2 s \(still loading\)"):
            self.process.wait(self.never, 0.2, "log")

    def test_the_birth_of_a_program_with_brackets_in_its_name_is_read(self):
        fields = " ".join(["0"] * 18)

        self.assertEqual(born(f"7 (a) b (c) S {fields} 4711 9", "boot"), "boot/4711")
        self.assertIsNone(born(f"7 (a) b (c) Z {fields} 4711 9", "boot"))

    def test_a_taken_port_is_not_chosen(self):
        port = free_port(["127.0.0.1"])
        self.assertEqual(free_port(["127.0.0.1"], port), port)
        with taken(port):
            self.assertFalse(free("127.0.0.1", port))
            self.assertNotEqual(free_port(["127.0.0.1"], port), port)

    def said(self, text):
        if text not in (self.path / "log").read_text():
            raise NotYet("nothing")

    def never(self):
        raise NotYet("still\nloading")


class Folders(Scratch):
    def setUp(self):
        super().setUp()
        self.folder = Folder(self.path / "infra")
        self.folder.path.mkdir()

    def test_settings_once_made_stay_and_need_not_be_said_again(self):
        first = self.folder.agree("127.0.0.5", 3)
        self.folder.keep(first)

        self.assertEqual(self.folder.agree(None, None), first)
        self.assertEqual((first["bind"], first["nodes"]), ("127.0.0.5", 3))

    def test_settings_that_did_not_hold_are_not_kept(self):
        self.folder.agree("192.0.2.1", 3)

        self.assertEqual(self.folder.agree(None, None)["bind"], "127.0.0.1")

    def test_other_settings_than_the_data_was_made_for_are_refused(self):
        self.folder.keep(self.folder.agree(None, None))

        with self.assertRaisesRegex(Missing, r"holds data of 1 node\(s\) at 127.0.0.1. For others: ./dev infra down --wipe"):
            self.folder.agree(None, 3)

    def test_addresses_are_one_a_line_and_for_their_owner_only(self):
        self.folder.tell({"NATS_URL": "nats://h:1", "CQL_MISSING": "no\nJava"})

        env = self.folder.path / "env"
        self.assertEqual(env.read_text(), "# Written by ./dev infra up.\nNATS_URL=nats://h:1\nCQL_MISSING=no Java\n")
        self.assertEqual(env.stat().st_mode & 0o777, 0o600)

    def test_addresses_written_by_hand_are_not_ours(self):
        self.assertFalse(self.folder.told_by_others())
        self.folder.tell({"NATS_URL": "nats://h:1"})
        self.assertFalse(self.folder.told_by_others())

        (self.folder.path / "env").write_text("NATS_URL=nats://h:1\n")
        self.assertTrue(self.folder.told_by_others())

    def test_a_wiped_folder_is_gone_but_not_what_others_put_there(self):
        self.folder.of("nats")
        self.folder.tell({})
        other = self.folder.path / "theirs"
        other.write_text("")

        self.folder.wipe()
        self.assertEqual(list(self.folder.path.iterdir()), [other])

        other.unlink()
        self.folder.wipe()
        self.assertFalse(self.folder.path.exists())

    def test_a_lock_whose_file_was_wiped_is_another_one(self):
        with open(self.folder.path / "lock", "w") as lock:
            self.assertTrue(same(lock, self.folder.path / "lock"))
            self.folder.wipe()
            self.assertFalse(same(lock, self.folder.path / "lock"))

    def test_every_server_has_a_folder_that_is_wiped(self):
        for name in (nats.NAME, postgres.NAME, *(f"cassandra-{number}" for number in cassandra.THREE)):
            self.assertIn(name, OURS)


class Fetching(Scratch):
    def setUp(self):
        super().setUp()
        before = os.environ.get("GUILDHALL_DEV_CACHE")
        os.environ["GUILDHALL_DEV_CACHE"] = str(self.path)
        self.addCleanup(lambda: os.environ.pop("GUILDHALL_DEV_CACHE"))
        if before is not None:
            self.addCleanup(os.environ.__setitem__, "GUILDHALL_DEV_CACHE", before)

    def test_what_was_made_once_is_not_made_again(self):
        for text in ("first", "second"):
            folder = fetch.kept("tool-1", lambda made, _room, text=text: (made / "tool").write_text(text))

        self.assertEqual((folder / "tool").read_text(), "first")
        self.assertEqual(list(self.path.iterdir()), [folder])

    def test_what_was_made_by_half_leaves_nothing(self):
        def half(made, _room):
            (made / "tool").write_text("half")
            raise Missing("no network")

        with self.assertRaisesRegex(Missing, "no network"):
            fetch.kept("tool-1", half)
        self.assertEqual(list(self.path.iterdir()), [])

    def test_a_command_that_fails_is_told_by_its_first_error(self):
        with self.assertRaisesRegex(Missing, "^compiling it: ERROR: no such module$"):
            fetch.run("compiling it", ["sh", "-c", "echo begin; echo 'ERROR: no such module' >&2; echo see help; exit 1"])

    def test_a_program_that_is_not_there_is_told(self):
        with self.assertRaisesRegex(Missing, "compiling it: .*no-such-program"):
            fetch.run("compiling it", ["no-such-program"])


class Answers(unittest.TestCase):
    def test_versions_are_read_from_what_programs_say(self):
        self.assertEqual(postgres.major("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)\n"), 15)
        self.assertEqual(postgres.major("postgres (PostgreSQL) 17beta1\n"), 17)
        self.assertEqual(cassandra.java_version('openjdk version "17.0.15" 2025-04-15\n'), 17)
        self.assertEqual(cassandra.java_version('java version "1.8.0_202"\n'), 1)
        self.assertEqual(nats.go_version("go1.26.8\n"), (1, 26))
        self.assertIsNone(nats.go_version("devel +abc\n"))

    def test_a_nats_server_without_jetstream_is_not_ready(self):
        self.assertEqual(nats.version_of(b'INFO {"version":"2.15.2","jetstream":true} \r\n'), "2.15.2")
        with self.assertRaisesRegex(NotYet, "JetStream is not on"):
            nats.version_of(b'INFO {"version":"2.15.2"} \r\n')
        with self.assertRaisesRegex(NotYet, "it greeted with b'HTTP/1.1"):
            nats.version_of(b"HTTP/1.1 400 Bad Request\r\n")

    def test_rows_of_cql_are_read(self):
        column = cql.short_text("release_version") + struct.pack(">H", 0x0D)
        number = cql.short_text("n") + struct.pack(">H", 0x02)
        head = struct.pack(">iii", 2, 1, 2) + cql.short_text("system") + cql.short_text("local") + column + number
        body = head + struct.pack(">i", 1) + struct.pack(">i", 5) + b"5.0.8" + struct.pack(">i", -1)

        self.assertEqual(cql.rows(body), [[b"5.0.8", None]])

    def test_an_error_of_cql_is_told_in_its_words(self):
        body = struct.pack(">i", 0x2200) + cql.short_text("no such table")

        self.assertEqual(cql.said(cql.ERROR, body), "no such table")

    def test_a_node_that_hangs_up_is_not_ready(self):
        with self.assertRaisesRegex(NotYet, "it closed the connection"):
            cql.whole(io.BytesIO(b"\x84\x00"), 9)

    def test_three_nodes_share_the_ring_evenly(self):
        places = sorted(cassandra.TOKENS.values())
        distances = [after - before for before, after in zip(places, places[1:])] + [places[0] + 2**64 - places[-1]]

        self.assertLessEqual(max(distances) - min(distances), 1)


class Promises(Scratch):
    """What a change of a configuration must not lose."""

    def test_every_server_syncs_before_it_acknowledges(self):
        settings = {"bind": "127.0.0.1", "nodes": 1, "ports": {nats.NAME: 1, postgres.NAME: 2, "cassandra": 3, "cassandra-storage": 4}}
        folder = Folder(self.path)
        flags = " ".join(map(str, postgres.Postgres(folder, settings).flags()))
        node = cassandra.Cassandra(folder, settings, 1)

        self.assertIn("sync_interval: always", nats.CONFIG)
        self.assertIn("fsync=on -c synchronous_commit=on", flags)
        self.assertIn("commitlog_sync: batch\n", node.yaml())


def taken(port):
    listener = socket.socket()
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener
