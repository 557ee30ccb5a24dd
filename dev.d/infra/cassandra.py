"""Apache Cassandra from its jars, one node or three; in tests it stands for ScyllaDB too, with which it shares CQL.

Maven fetches the jars, a Java of version 17 runs them. Nothing here may make an acknowledgement less than a promise: the
commit log is synced before it, and the schema too (a flag of Cassandra's own tests that leaves it unsynced has lost keyspaces).
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import cql
import fetch
from process import Missing, NotYet, Process, free, free_port

VERSION = "5.0.8"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
JAVA = 17
POM = Path(__file__).resolve().parent / "pom.xml"

KEY = "CQL"
DATACENTER = "datacenter1"
PATIENCE = 240
# What its ports are called in the settings: for clients, and for other nodes.
PORTS = ("cassandra", "cassandra-storage")

# Node -> its address, where there are three, and its place in the ring: a third of it each.
THREE = {1: "127.0.0.1", 2: "127.0.0.2", 3: "127.0.0.3"}
THIRD = 2**64 // 3
TOKENS = {1: 0, 2: THIRD, 3: -THIRD}

YAML = """\
cluster_name: guildhall-tests
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
num_tokens: 1
initial_token: {token}
auto_bootstrap: false
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{{seeds: "{seed}"}}]
listen_address: {address}
rpc_address: {address}
storage_port: {storage_port}
start_native_transport: true
native_transport_port: {port}

data_file_directories: ["{data}/data"]
commitlog_directory: "{data}/commitlog"
saved_caches_directory: "{data}/saved_caches"
hints_directory: "{data}/hints"
cdc_raw_directory: "{data}/cdc_raw"

# Synced before it is acknowledged. Never periodic: that acknowledges first.
commitlog_sync: batch
commitlog_segment_size: 5MiB
auto_snapshot: false

# One of several on a small machine.
memtable_allocation_type: heap_buffers
memtable_heap_space: 128MiB
disk_access_mode: standard
concurrent_reads: 8
concurrent_writes: 8
concurrent_compactors: 1

{timeouts}
"""
# A machine that compiles meanwhile is slow, not away.
PATIENT = "read_request_timeout: 10s\nwrite_request_timeout: 10s\ncas_contention_timeout: 5s\nrange_request_timeout: 20s"
# Three nodes are there to be frozen and killed, and that should show soon.
QUICK = "read_request_timeout: 1500ms\nwrite_request_timeout: 1500ms\ncas_contention_timeout: 1s"

LOGBACK = """\
<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%date{ISO8601} %-5level %logger{0} %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
"""

# What Java 17 keeps to itself and Cassandra uses, package by package of each module.
EXPORTS = {
    "java.base": "jdk.internal.misc jdk.internal.ref sun.nio.ch java.lang.ref",
    "java.management.rmi": "com.sun.jmx.remote.internal.rmi",
    "java.management": "com.sun.jmx.remote.security",
    "java.rmi": "sun.rmi.registry sun.rmi.server sun.rmi.transport.tcp",
    "java.sql": "java.sql",
    "jdk.attach": "sun.tools.attach",
    "jdk.compiler": "com.sun.tools.javac.file",
    "jdk.unsupported": "sun.misc",
}
OPENS = {
    "java.base": "java.io java.lang java.lang.module java.lang.reflect java.net java.nio java.util java.util.concurrent"
    " java.util.concurrent.atomic sun.nio.ch jdk.internal.loader jdk.internal.math jdk.internal.module jdk.internal.ref"
    " jdk.internal.reflect jdk.internal.util.jar",
    "jdk.compiler": "com.sun.tools.javac",
    "jdk.management": "com.sun.management.internal",
}


def obtain():
    """The Java and the folder of jars."""
    java = find_java()
    return java, fetch.kept(f"cassandra-{VERSION}", lambda made, room: fetch_jars(made, room, java))


def find_java():
    """A Java of the one version that this Cassandra runs on."""
    installed = sorted(Path("/usr/lib/jvm").glob(f"*{JAVA}*/bin/java"))
    at_home = [Path(os.environ["JAVA_HOME"]) / "bin/java"] if "JAVA_HOME" in os.environ else []
    for java in [*at_home, fetch.program("java"), *installed]:
        if java and java.exists():
            said = subprocess.run([java, "-version"], capture_output=True, text=True).stderr
            if java_version(said) == JAVA:
                return java.resolve()
    raise Missing(f"no Java {JAVA} here (Debian 12: apt-get install openjdk-{JAVA}-jre-headless)")


def java_version(said):
    """The 17 of `openjdk version "17.0.15" 2025-04-15`."""
    found = re.search(r'version "(\d+)', said)
    return int(found[1]) if found else 0


def fetch_jars(made, room, java):
    maven = fetch.program("mvn")
    if maven is None:
        raise Missing("no Maven here (Debian: apt-get install maven)")
    print(f"infra: fetching the jars of Cassandra {VERSION} by Maven, once (67 MB)", file=sys.stderr, flush=True)
    fetch.run(
        f"fetching Cassandra {VERSION} by Maven",
        [maven, "--quiet", "--batch-mode", "--strict-checksums", "--file", POM, f"-Dcassandra.version={VERSION}",
         f"-Dmaven.repo.local={room}/maven", COPY, "-DincludeScope=runtime", f"-DoutputDirectory={made}"],
        env=os.environ | {"JAVA_HOME": str(java.parent.parent)},
    )
    if not (made / f"cassandra-all-{VERSION}.jar").exists():
        raise Missing(f"Maven fetched no cassandra-all-{VERSION}.jar")


class Cassandra:
    """One node."""

    def __init__(self, folder, settings, number):
        self.folder, self.settings, self.number = folder, settings, number
        self.name, self.key = f"cassandra-{number}", KEY
        self.place = folder.path / self.name
        self.data = self.place / "data"
        self.process = Process(self.place / "process.json")

    def prepare(self):
        """Decides what is kept in the settings."""
        ports, alone = self.settings["ports"], self.settings["nodes"] == 1
        for name in PORTS:
            if alone:
                ports[name] = free_port([self.host()], ports.get(name))
            else:
                # Drivers take all nodes to be at one port, and nodes know each other by theirs, also after a pause.
                ports.setdefault(name, free_port(THREE.values()))

    def up(self):
        """Starts the node unless it runs, and returns its version once it is ready."""
        if self.process.pid() is None:
            java, jars = obtain()
            self.folder.of(self.name)
            for name in PORTS:
                if not free(self.host(), port := self.settings["ports"][name]):
                    raise Missing(f"port {port} of {self.host()} is taken by another process")
            conf = self.place / "conf"
            conf.mkdir(exist_ok=True)
            (conf / "cassandra.yaml").write_text(self.yaml())
            (conf / "logback.xml").write_text(LOGBACK)
            self.process.start([java, *self.flags(jars)], self.place / "log", cwd=self.place)
        return self.process.wait(self.version, PATIENCE, self.place / "log")

    def yaml(self):
        return YAML.format(
            token=TOKENS[self.number], address=self.host(), data=self.data,
            seed=THREE[1] if self.settings["nodes"] > 1 else self.host(),
            port=self.settings["ports"]["cassandra"], storage_port=self.settings["ports"]["cassandra-storage"],
            timeouts=QUICK if self.settings["nodes"] > 1 else PATIENT,
        )

    def flags(self, jars):
        heap = "700m" if self.settings["nodes"] > 1 else "1g"
        packages = [
            part
            for flag, modules in (("--add-exports", EXPORTS), ("--add-opens", OPENS))
            for module, names in modules.items()
            for name in names.split()
            for part in (flag, f"{module}/{name}=ALL-UNNAMED")
        ]
        agent = next(jars.glob("jamm-*.jar"))
        return [
            f"-javaagent:{agent}", "-Xms400m", f"-Xmx{heap}", "-XX:MaxDirectMemorySize=512m", "-Xss512k",
            "-XX:+UseG1GC", "-XX:ParallelGCThreads=2", "-XX:ConcGCThreads=1", "-XX:+ExitOnOutOfMemoryError",
            "-Djava.net.preferIPv4Stack=true", "-Djava.security.manager=allow", f"-Djava.io.tmpdir={self.tmp()}",
            "-Djdk.attach.allowAttachSelf=true", "-Dio.netty.tryReflectionSetAccessible=true",
            "-Dcassandra-foreground=yes", f"-Dcassandra.config={(self.place / 'conf/cassandra.yaml').as_uri()}",
            f"-Dcassandra.storagedir={self.data}", f"-Dcassandra.logdir={self.place}",
            # The first node has nobody to wait for; the others give up if it does not answer their gossip within twice this time.
            f"-Dcassandra.ring_delay_ms={0 if self.number == 1 else 20_000}",
            "-Dcassandra.skip_wait_for_gossip_to_settle=0", "-Dcassandra.consistent.rangemovement=false",
            *packages, "-cp", f"{self.place}/conf:{jars}/*", "org.apache.cassandra.service.CassandraDaemon",
        ]

    def tmp(self):
        """Where Java unpacks native libraries: it runs them from there, which /tmp may forbid."""
        tmp = self.place / "tmp"
        tmp.mkdir(exist_ok=True)
        return tmp

    def host(self):
        return THREE[self.number] if self.settings["nodes"] > 1 else self.settings["bind"]

    def address(self):
        port = self.settings["ports"].get("cassandra")
        return f"{self.host()}:{port}" if port else None

    def version(self):
        """Speaks to the node and returns its version; it must see the nodes that came before it."""
        port = self.settings["ports"]["cassandra"]
        ((version, datacenter),) = cql.ask(self.host(), port, "SELECT release_version, data_center FROM system.local")
        if datacenter != DATACENTER.encode():
            raise NotYet(f"its datacenter is {datacenter!r}")
        peers = len(cql.ask(self.host(), port, "SELECT peer FROM system.peers_v2"))
        if peers < self.number - 1:
            raise NotYet(f"it sees {peers} other nodes")
        return version.decode()

    def down(self):
        return self.process.stop(signal.SIGTERM)


def addresses(nodes):
    """What a driver is given."""
    return {"CQL_NODES": ",".join(node.address() for node in nodes), "CQL_DATACENTER": DATACENTER}
