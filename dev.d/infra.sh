# Servers for tests: the part of `dev` that installs, starts and stops them. dev.d/infra is what it calls; versions stand there.

help_infra() {
    cat <<'END_OF_HELP'
./dev infra up [--bind ADDRESS] [--nodes 3]        ./dev infra status        ./dev infra down [--wipe]

PostgreSQL, NATS with JetStream and Cassandra as ordinary processes of this machine, on free ports. Tests that need one of
them find it by itself. docs/operate.md tells more, also what to do without this word (compose.yaml).

  up       starts what does not run yet and says where it is; 1 where one could not be had, which it says too
  status   address, process, version and data of each; 0 if all are ready
  down     stops them; data stays, with --wipe it goes

  --bind ADDRESS   where they listen, 127.0.0.1 by itself. NATS and Cassandra ask nobody who they are
  --nodes 3        three Cassandra nodes, at 127.0.0.1 to 127.0.0.3, one by itself

They live in target/infra; GUILDHALL_INFRA names another folder. ./dev test uses them if they are up, else starts some of its own
and forgets them at the end. ./dev prove breaks servers, and starts its own always.
END_OF_HELP
}
word_infra() {
    case ${1:-} in
    up) servers ;;
    down | status) ;;
    *) wrong_use infra "$*" ;;
    esac
    infra "$@"
}

infra() { GUILDHALL_DEV_CACHE=$TOOLS python3 dev.d/infra "$@"; }

# Installs what the servers run from. Where that cannot be, the words go on: tests then say what they skip, and why.
servers() {
    local package packages=()
    need_infra
    want postgresql "store entities in PostgreSQL" has_postgresql
    want openjdk-17-jre-headless "run Cassandra" has_java_17
    want maven "fetch Cassandra" has_maven_or_cassandra
    if ((${#packages[@]})) && ! (debian "${packages[@]}"); then
        # One that this system does not have should not keep away the others.
        for package in "${packages[@]}"; do
            (debian "$package") || say "going on WITHOUT $package"
        done
    fi
    infra fetch || say "going on WITHOUT some servers: tests that need them will say SKIPPED"
}
need_infra() { want "python3 python3-venv" "start and stop servers" has_python; }
has_postgresql() { compgen -G '/usr/lib/postgresql/*/bin/initdb' || command -v initdb; }
has_java_17() { compgen -G '/usr/lib/jvm/*17*/bin/java' || [[ $(java -version 2>&1) == *'version "17'* ]]; }
has_maven_or_cassandra() { command -v mvn || compgen -G "$TOOLS/cassandra-*"; }

# The servers for one run of the tests: those that are up already, or some of its own.
servers_up() {
    export GUILDHALL_INFRA=${GUILDHALL_INFRA:-$PWD/target/infra}
    if [[ -e $GUILDHALL_INFRA/env ]]; then
        say "servers for tests: those of $GUILDHALL_INFRA"
        infra status || true
        return
    fi
    export GUILDHALL_INFRA=$PWD/target/infra-once
    SERVERS_OF_THIS_RUN=1
    # What a run left behind that was killed.
    infra down --wipe 2>/dev/null || true
    infra up || say "some servers are MISSING: tests that need them will say SKIPPED"
}
servers_down() {
    [[ -n ${SERVERS_OF_THIS_RUN:-} ]] || return 0
    SERVERS_OF_THIS_RUN=
    infra down --wipe || true
}
# After the tests: stops those servers, and says how often the log of the tests tells that one was not there.
servers_done() {
    servers_down
    local missed
    missed=$(grep -c 'SKIPPED [^ ]*: no ' "$1") || return 0
    echo "SKIPPED for want of a server: $missed (each says above which and why)"
}
