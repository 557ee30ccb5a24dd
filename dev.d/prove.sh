# The long proofs: the part of `dev` that builds, runs and times them. What they prove stands in crates/guildhall/tests/prove and e2e/prove.

help_prove() {
    cat <<'END'
./dev prove [--long] [seed]

Runs the long proofs: nothing lost over kill -9 and over faults of everything that a hall stands on, nobody reads what is not
theirs, bad input refused. Takes at most 15 minutes, with --long more than an hour. Every run prints its seed; give it again
to repeat a run.

What is broken is servers and processes of the proof's own, in target/prove-servers. Full disks need root, a wrong clock faketime;
--long as root runs in a network of its own, and breaks that too. What cannot be done here is told as SKIPPED, with the reason.
END
}
word_prove() {
    local failed=()
    if [[ ${1:-} == --long ]]; then
        export GUILDHALL_PROVE_LONG=1
        shift
    fi
    export GUILDHALL_SEED=${1:-$RANDOM}
    [[ $GUILDHALL_SEED =~ ^[0-9]+$ && $# -le 1 ]] || wrong_use prove "$*"
    setup prove
    surroundings
    # Not those that tests share: these are killed, frozen and robbed of their files.
    export GUILDHALL_PROVE_SERVERS=$PWD/target/prove-servers
    trap 'broken_servers_down; servers_down' EXIT
    say "seed $GUILDHALL_SEED"

    step "build" sabotaged
    step "servers" servers_up
    step "guards of timelines in CQL" cargo test --lib --features svc-chat/sabotage guards || failed+=(guards)
    servers_down
    step "proofs on the whole hall" proofs || failed+=(prove)
    step "proofs from outside" e2e/prove || failed+=(e2e/prove)
    echo
    took "prove, seed $GUILDHALL_SEED"
    ((${#failed[@]} == 0)) || die "failed: ${failed[*]}; again by: ./dev prove $GUILDHALL_SEED"
}

proofs() {
    local network=()
    if [[ -n ${GUILDHALL_PROVE_LONG:-} ]]; then
        if ((EUID == 0)) && command -v nft >/dev/null && unshare --net true; then
            export GUILDHALL_PROVE_NETWORK=own
            network=(unshare --net -- bash -c 'ip link set lo up && exec "$@"' -)
        else
            echo "SKIPPED packets lost by the kernel: root, nft (Debian: nftables) and a network of its own are needed; proxies stand in"
        fi
    fi
    "${network[@]}" cargo test --test prove -- --include-ignored --nocapture --test-threads=1 2>&1 | dev.d/timed.py
}

# A proof stops its servers by itself; this is for one that was interrupted.
broken_servers_down() {
    GUILDHALL_INFRA=$GUILDHALL_PROVE_SERVERS infra down &>/dev/null || true
    umount --lazy "$GUILDHALL_PROVE_SERVERS"/{postgres,nats} &>/dev/null || true
    GUILDHALL_INFRA=$GUILDHALL_PROVE_SERVERS infra down --wipe &>/dev/null || true
}

# Two servers: the product, and one whose guards the variable SABOTAGE can take away, so that each proof is also seen to fail.
sabotaged() {
    GUILDHALL_SABOTAGED=$(target)/debug/guildhall-sabotaged
    export GUILDHALL_SABOTAGED
    cargo build --bin guildhall --features guildhall/sabotage
    cp "$GUILDHALL_BIN" "$GUILDHALL_SABOTAGED"
    cargo build --bin guildhall
    cargo test --test prove --no-run
}

# What they need beside what the hall does.
need_prove() {
    want "python3 python3-venv" "run the fuzzer" has_python
    want strace "see the syncs of the disk between request and answer" command -v strace
    want faketime "show one process a wrong clock" compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1'
    want nftables "lose packets, with --long" command -v nft
}
