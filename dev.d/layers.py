#!/usr/bin/env python3
"""Holds the tree to its layers, as ARCHITECTURE.md draws them.

Two questions: which of our crates does a crate depend on (from every Cargo.toml), and which names does a file of a
service use in its code (from `use` lines and from paths in expressions). `--self-test` feeds a good tree, then the same
tree with one fault at a time, and wants the first accepted and every other refused: a check that cannot fail checks nothing.

Reading order: the two tables, then `check`.
"""

import re
import sys
import tomllib
from pathlib import Path

from tree import line_of, listed, missed

# Crate -> which of ours it may depend on. A crate that is not here is refused.
OURS = {
    "guildhall-kernel": "",
    "guildhall-proto": "",
    "guildhall-transcode": "",
    "guildhall-mesh": "guildhall-kernel guildhall-proto",
    "guildhall-store": "guildhall-kernel",
    "svc-*": "guildhall-kernel guildhall-proto guildhall-mesh guildhall-store",
    "guildhall-gateway": "guildhall-kernel guildhall-proto guildhall-mesh guildhall-transcode",
    "guildhall-testkit": "guildhall-kernel guildhall-proto guildhall-mesh",
    "guildhall-bench": "guildhall-kernel guildhall-proto guildhall-mesh guildhall-store svc-*",
    "guildhall": "guildhall-kernel guildhall-proto guildhall-transcode guildhall-mesh guildhall-store guildhall-gateway svc-*",
}
# For tests only: any crate that depends on others of ours may use it as a dev-dependency, none otherwise.
TESTKIT = "guildhall-testkit"
# The kernel does no I/O, knows no async and no transport.
NOT_IN_KERNEL = {"tokio", "futures", "async-trait", "tonic", "prost", "hyper", "axum", "rusqlite", "sea-orm"}

TRANSPORT = r"tonic\w*|axum|hyper\w*|http|http_body\w*|tower\w*"
PROTO = r"guildhall_proto|prost\w*"
DRIVER = r"rusqlite|libsqlite3_sys|sea_orm\w*|sea_query|sqlx\w*|scylla|tokio_postgres"
ANYHOW = r"anyhow"

# Part of a service -> (crates it may not name, modules of its own crate it may name).
ALL, NOT_GRPC, NOT_STORE = object(), object(), object()
PARTS = {
    "wiring": ([DRIVER], ALL),
    "model": ([TRANSPORT, PROTO, DRIVER, ANYHOW, "guildhall_mesh", "guildhall_store"], {"model"}),
    "event": ([TRANSPORT, DRIVER, ANYHOW, "guildhall_store"], {"event", "model"}),
    "error": (["axum", r"hyper\w*", DRIVER, ANYHOW], {"error", "model", "store"}),
    "store": ([TRANSPORT, PROTO, ANYHOW], {"store", "model", "event", "error", "config", "migrations"}),
    "migrations": ([TRANSPORT, PROTO, ANYHOW], {"migrations"}),
    "use case": ([TRANSPORT, PROTO, DRIVER, ANYHOW], NOT_GRPC),
    # Rpcs that go out, to other services: the counterpart of grpc.
    "peers": (["axum", r"hyper\w*", DRIVER, ANYHOW, "guildhall_store"], {"peers", "model", "error"}),
    "grpc": ([DRIVER, ANYHOW, "guildhall_store"], NOT_STORE),
}


def check(root):
    """Says what is wrong in the tree at `root`, one line each, and how many files were looked at."""
    files = listed(root)
    manifests = [file for file in files if file.name == "Cargo.toml" and file.parent != Path(".")]
    sources = [file for file in files if re.fullmatch(r"svc-[a-z]+/(src|migrations)/.+\.rs", file.as_posix())]
    shared = tomllib.loads((root / "Cargo.toml").read_text())["workspace"].get("dependencies", {})

    wrong = []
    for file in manifests:
        wrong += [f"{file}: {fault}" for fault in crate_faults(tomllib.loads((root / file).read_text()), shared)]
    for file in sources:
        wrong += [f"{file}:{line}: {fault}" for line, fault in file_faults(file, (root / file).read_text())]
    return wrong, len(manifests) + len(sources)


# Crates


def crate_faults(manifest, shared):
    name = manifest["package"]["name"]
    rule = next((rule for rule in OURS if matches(name, rule)), None)
    if rule is None:
        yield f"{name} has no place in the layers: say in dev.d/layers.py what it may use"
        return

    for section, dependency in dependencies(manifest, shared):
        if rule == "guildhall-kernel" and dependency in NOT_IN_KERNEL:
            yield f"{name} may not depend on {dependency}: no I/O, no async, no transport there"
        if not any(matches(dependency, ours) for ours in OURS):
            continue
        if dependency == TESTKIT:
            if section != "dev-dependencies" or not OURS[rule]:
                yield f"{name} may not have {TESTKIT} in {section}: it is for tests of crates that stand on others"
        elif not any(matches(dependency, allowed) for allowed in OURS[rule].split()):
            yield f"{name} may not depend on {dependency}; allowed: {OURS[rule] or 'nothing of ours'}"


def dependencies(manifest, shared):
    """Every (section, package) of a manifest; a renamed dependency goes by the name of its package."""
    tables = [manifest, *manifest.get("target", {}).values()]
    for table in tables:
        for section in ("dependencies", "dev-dependencies", "build-dependencies"):
            for key, value in table.get(section, {}).items():
                if isinstance(value, dict) and value.get("workspace"):
                    value = shared.get(key, {})
                yield section, value.get("package", key) if isinstance(value, dict) else key


def matches(name, rule):
    return name == rule or rule.endswith("*") and name.startswith(rule[:-1])


# Files of a service


def file_faults(file, text):
    part = part_of(file)
    crates, modules = PARTS[part]
    text = code_only(text)

    banned = re.compile(rf"(?<!\w)({'|'.join(crates)})(?=\s*::)|\buse\s+(?:::)?({'|'.join(crates)})(?=\s*;|\s+as\b)")
    for found in banned.finditer(text):
        yield line_of(text, found), f"{part} names {found[1] or found[2]}"
    for at, module in own_modules(file, text):
        if not may_name(modules, module):
            yield line_of(text, at), f"{part} names crate::{module}"


def part_of(file):
    """Which part of a service a file is; what has no name of its own is a use case."""
    if file.parts[1] == "migrations":
        return "migrations"
    part = file.parts[2].removesuffix(".rs")
    if part == "lib":
        return "wiring"
    return part if part in PARTS else "use case"


def may_name(modules, module):
    if modules is ALL:
        return True
    if modules is NOT_GRPC:
        return module != "grpc"
    if modules is NOT_STORE:
        return module != "store"
    return module in modules


def own_modules(file, text):
    """Every top-level module of its own crate that a file names, by `crate::…` or by `super::…`, also inside braces."""
    depth = len(file.parts) - 2
    for found in re.finditer(r"(?<![\w:])(crate|(?:super\s*::\s*)*super)\s*::\s*(\{|\w+)", text):
        if found[1] != "crate" and found[1].count("super") != depth:
            continue
        if found[2] != "{":
            yield found, found[2]
            continue
        for name in heads(text, found.end()):
            yield found, name


def heads(text, start):
    """The first word of each item of a brace list whose inside begins at `start`."""
    depth, fresh = 1, True
    for token in re.finditer(r"[{},]|\w+", text[start:]):
        if token[0] == "{":
            depth += 1
        elif token[0] == "}":
            depth -= 1
            if depth == 0:
                return
        elif token[0] == ",":
            fresh = fresh or depth == 1
        elif fresh and depth == 1:
            fresh = False
            yield token[0]


def code_only(text):
    """The text without comments, literals and the test module at its end, every line where it was."""
    literal = r"""r(\#*)".*?"\1|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])'|//[^\n]*|/\*.*?\*/"""
    blank = re.sub(literal, lambda found: "\n" * found[0].count("\n"), text, flags=re.DOTALL)
    return re.split(r"#\[cfg\(test\)\]\s*mod \w+ \{", blank)[0]


# Self-test

GOOD = {
    "Cargo.toml": '[workspace.dependencies]\nkernel = { package = "guildhall-kernel", path = "crates/kernel" }\nsvc-auth = { path = "svc-auth" }\n',
    "crates/kernel/Cargo.toml": '[package]\nname = "guildhall-kernel"\n[dependencies]\nuuid = "1"\n',
    "crates/guildhall/Cargo.toml": '[package]\nname = "guildhall"\n[dependencies]\nsvc-auth.workspace = true\nsvc-chat = "1"\n',
    "gateway/Cargo.toml": '[package]\nname = "guildhall-gateway"\n[dependencies]\nguildhall-transcode = "1"\n',
    "svc-auth/Cargo.toml": '[package]\nname = "svc-auth"\n[dependencies]\nkernel.workspace = true\n',
    "svc-chat/Cargo.toml": '[package]\nname = "svc-chat"\n[dependencies]\nkernel.workspace = true\n[dev-dependencies]\nguildhall-testkit = "1"\n',
    "svc-chat/src/lib.rs": "mod grpc;\nuse anyhow::Context;\nuse tonic::service::Routes;\nuse crate::store::Timeline;\n",
    "svc-chat/src/model.rs": '//! No tonic::Status here.\nuse guildhall_kernel::Id;\nconst A: &str = "tonic::Status";\n',
    "svc-chat/src/event.rs": "use guildhall_proto::chat as pb;\nuse crate::model::Message;\n",
    "svc-chat/src/error.rs": "use guildhall_proto::error::Reason;\nuse crate::store::StoreError;\n",
    "svc-chat/src/store/embedded.rs": "use rusqlite::Connection;\nuse crate::{event, model::{self, Message}};\nuse super::Timeline;\n",
    "svc-chat/src/messages.rs": "use crate::{event, store::Timeline};\n#[cfg(test)]\nmod tests {\n    use guildhall_proto::chat as pb;\n}\n",
    "svc-chat/src/grpc/convert.rs": "use crate::{messages, model};\nuse guildhall_proto::chat as pb;\nuse super::Reply;\n",
    "svc-chat/src/peers.rs": "use crate::error::ChatError;\nuse guildhall_proto::auth as pb;\nuse tonic::Status;\n",
    "svc-chat/migrations/m0001.rs": "use sea_orm_migration::prelude::*;\n",
    "svc-chat/tests/it/main.rs": "use guildhall_proto::chat as pb;\n",
}
# What to put at the end of which file, and what the refusal must say.
FAULTS = [
    ("crates/kernel/Cargo.toml", 'guildhall-proto = "1"\n', "guildhall-kernel may not depend on guildhall-proto"),
    ("crates/kernel/Cargo.toml", 'tokio = "1"\n', "guildhall-kernel may not depend on tokio"),
    ("crates/kernel/Cargo.toml", '[dev-dependencies]\nguildhall-testkit = "1"\n', "guildhall-kernel may not have guildhall-testkit"),
    ("svc-chat/Cargo.toml", 'svc-auth.workspace = true\n', "svc-chat may not depend on svc-auth"),
    ("svc-chat/Cargo.toml", '[target."cfg(unix)".dependencies]\nguildhall-gateway = "1"\n', "svc-chat may not depend on guildhall-gateway"),
    ("svc-chat/Cargo.toml", '[build-dependencies]\nother = { package = "svc-auth", version = "1" }\n', "svc-chat may not depend on svc-auth"),
    ("gateway/Cargo.toml", 'guildhall-store = "1"\n', "guildhall-gateway may not depend on guildhall-store"),
    ("gateway/Cargo.toml", 'guildhall-testkit = "1"\n', "may not have guildhall-testkit in dependencies"),
    ("crates/extra/Cargo.toml", '[package]\nname = "guildhall-extra"\n', "has no place in the layers"),
    ("svc-chat/src/lib.rs", "use rusqlite::Connection;\n", "lib.rs:5: wiring names rusqlite"),
    ("svc-chat/src/model.rs", "use guildhall_mesh::Bus;\n", "model names guildhall_mesh"),
    ("svc-chat/src/model.rs", "use crate::error::ChatError;\n", "model names crate::error"),
    ("svc-chat/src/model.rs", "use super::store;\n", "model names crate::store"),
    ("svc-chat/src/event.rs", "use crate::store::Timeline;\n", "event names crate::store"),
    ("svc-chat/src/error.rs", "use sea_orm::DbErr;\n", "error names sea_orm"),
    ("svc-chat/src/store/embedded.rs", "fn f() -> tonic::Status {}\n", "store names tonic"),
    ("svc-chat/src/store/embedded.rs", "use guildhall_proto::chat;\n", "store names guildhall_proto"),
    ("svc-chat/src/store/embedded.rs", "use super::super::{messages, model};\n", "store names crate::messages"),
    ("svc-chat/src/reads.rs", "use {crate::model, tonic::Status};\n", "use case names tonic"),
    ("svc-chat/src/reads.rs", "use axum as web;\n", "use case names axum"),
    ("svc-chat/src/reads.rs", "use guildhall_store::sea_orm::DbErr;\n", "use case names sea_orm"),
    ("svc-chat/src/reads.rs", "use crate::{model::{A, B}, grpc};\n", "use case names crate::grpc"),
    ("svc-chat/src/reads.rs", "use anyhow::Result;\n", "use case names anyhow"),
    ("svc-chat/src/grpc/convert.rs", "use crate::{\n    model,\n    store::Timeline,\n};\n", "grpc names crate::store"),
    ("svc-chat/src/peers.rs", "use crate::store::Timeline;\n", "peers names crate::store"),
    ("svc-chat/src/peers.rs", "use sea_orm::DbErr;\n", "peers names sea_orm"),
    ("svc-chat/src/grpc/convert.rs", "use rusqlite::Row;\n", "grpc names rusqlite"),
    ("svc-chat/migrations/m0001.rs", "use tonic::Status;\n", "migrations names tonic"),
]


def main():
    if sys.argv[1:] == ["--self-test"]:
        through = missed(check, GOOD, FAULTS)
        print("\n".join(through) or f"layers: all of {len(FAULTS)} faults refused")
        return bool(through)
    wrong, looked = check(Path(__file__).resolve().parent.parent)
    print("\n".join(wrong) or f"layers: {looked} files, all in their place")
    return bool(wrong) or not looked


if __name__ == "__main__":
    sys.exit(main())
