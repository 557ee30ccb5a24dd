#!/usr/bin/env python3
"""Passes on what `cargo test --nocapture --test-threads=1` says, and tells after each test how long it took."""

import re
import sys
import time

BEGINS = re.compile(r"^test (\S+) \.\.\. ")
ENDS = re.compile(r"^(?:test \S+ \.\.\. )?(ok|FAILED|ignored.*)$")


def main():
    name, began = None, time.monotonic()
    for line in sys.stdin:
        sys.stdout.write(line)
        # The line begins when the test does, and comes here when the test says its first word, or ends.
        if found := BEGINS.match(line):
            name = found[1]
        if name and ENDS.match(line):
            now = time.monotonic()
            print(f"   {name}: {now - began:.1f} s")
            name, began = None, now
        elif line.startswith("running "):
            began = time.monotonic()
        sys.stdout.flush()


if __name__ == "__main__":
    main()
