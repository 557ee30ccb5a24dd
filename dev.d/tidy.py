#!/usr/bin/env python3
"""Looks for what must not stand in the tree: work left open, and packages taken from anywhere but their public registries.

Files over 400 lines are told, not refused. `--self-test` feeds it a good tree, then the same tree with one fault at a
time, and wants the first accepted and every other refused.
"""

import re
import sys
from pathlib import Path

from tree import checked, line_of, listed, missed

LONGEST = 400
# Not ours, or not written by hand.
FOREIGN = re.compile(r"(^|/)(third_party|vendor|assets|snapshots)/|\.(lock|snap|svg|png|ico|woff2)$|package-lock\.json$|^LICENSE$")

# Split so that this file does not refuse itself.
LEFT_OPEN = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b(?![\"'`])")
NO_BODY = re.compile(r"\b(to" r"do|unimple" r"mented)!")
# Settings and flags that point a package manager elsewhere, and addresses that look like a stand-in for a registry.
ELSEWHERE = re.compile(
    r"--(extra-)?index-" r"url|--find-" r"links|PIP_(EXTRA_)?INDEX_" r"URL|(npm_config_|NPM_CONFIG_)regis" r"try"
    r"|GO" r"PROXY=|replace-" r"with\s*=|^\s*\[(source|registries)[.\]]|^\s*(index-" r"url|regis" r"try)\s*=\s*\S*http"
    r"|https?://[^/\s\"']*(mirr" r"or|arti" r"fact|nex" r"us|dev" r"pi|verdac" r"cio|pkg\.d" r"ev)",
    re.MULTILINE,
)
LOCKS = {
    "Cargo.lock": (r'^source = "(.*)"', "registry+https://github.com/rust-lang/crates.io-index"),
    "package-lock.json": (r'^\s*"resolved": "(.*)"', "https://registry.npmjs.org/"),
}


def check(root):
    """Says what is wrong in the tree at `root`, what is long, and how many files were looked at."""
    wrong, long, looked = [], [], 0
    for file in listed(root):
        try:
            text = (root / file).read_text()
        except UnicodeDecodeError:
            continue
        looked += 1
        wrong += [f"{file}:{line}: {fault}" for line, fault in faults(file.as_posix(), text)]
        lines = text.count("\n")
        if lines > LONGEST and not FOREIGN.search(file.as_posix()):
            long.append(f"{file}: {lines} lines; files end before {LONGEST}")
    return wrong, long, looked


def faults(file, text):
    if rule := LOCKS.get(Path(file).name):
        for found in re.finditer(rule[0], text, re.MULTILINE):
            if not found[1].startswith(rule[1]):
                yield line_of(text, found), f"{found[1]} is not {rule[1]}"
    if FOREIGN.search(file):
        return
    for found in LEFT_OPEN.finditer(text):
        yield line_of(text, found), f"{found[0]}: finish it, or make it an issue"
    if file.endswith(".rs"):
        for found in NO_BODY.finditer(text):
            yield line_of(text, found), f"{found[0]} is no implementation"
    for found in ELSEWHERE.finditer(text):
        yield line_of(text, found), f"{found[0].strip()}: packages come from their public registries, set nowhere in this tree"


# Self-test

GOOD = {
    "Cargo.lock": 'source = "registry+https://github.com/rust-lang/crates.io-index"\n',
    "e2e/package-lock.json": '"resolved": "https://registry.npmjs.org/a/-/a-1.0.0.tgz"\n',
    "svc-task/src/model.rs": 'const KIND: &str = "TODO"; // a todo is a task without a project\n',
    "proto/third_party/a.proto": "// TO" "DO(someone else)\n",
    "long.rs": "\n" * LONGEST,
}
FAULTS = [
    ("Cargo.lock", 'source = "registry+https://crates.example.org/index"\n', "crates.example.org"),
    ("e2e/package-lock.json", '"resolved": "https://npm.example.org/a.tgz"\n', "npm.example.org"),
    ("a.rs", "// TO" "DO: later\n", "a.rs:1"),
    ("docs/a.md", "\nFIX" "ME\n", "docs/a.md:2"),
    ("a.rs", "fn f() { unimple" "mented!() }\n", "no implementation"),
    ("a.rs", "fn f() { to" "do!() }\n", "no implementation"),
    ("a.sh", "pip install --index-" "url http://127.0.0.1 x\n", "public registries"),
    (".npmrc", "regis" "try=http://npm.example.org\n", "public registries"),
    (".cargo/config.toml", "[source" ".crates-io]\n", "public registries"),
    ("Dockerfile", "ENV GO" "PROXY=direct\n", "public registries"),
    ("README.md", "see https://apt-mirr" "or.example.org/debian\n", "public registries"),
]


def main():
    if sys.argv[1:] == ["--self-test"]:
        through = missed(check, GOOD, FAULTS)
        if checked(check, GOOD)[1] or not checked(check, GOOD | {"long.rs": "\n" * (LONGEST + 1)})[1]:
            through.append("a file of 401 lines is not told, or one of 400 is")
        print("\n".join(through) or f"tidy: all of {len(FAULTS)} faults refused")
        return bool(through)
    wrong, long, looked = check(Path(__file__).resolve().parent.parent)
    for line in long:
        print(f"warning: {line}")
    print("\n".join(wrong) or f"tidy: {looked} files, nothing left open, no registry of their own")
    return bool(wrong) or not looked


if __name__ == "__main__":
    sys.exit(main())
