"""What the checks share: the files of a tree, and trees made up to be refused."""

import subprocess
import tempfile
from pathlib import Path


def listed(root):
    """The files that git knows or would add, as paths from `root`."""
    out = subprocess.run(
        ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True, capture_output=True, text=True,
    ).stdout
    return sorted({Path(name) for name in out.split("\0") if name and (root / name).is_file()})


def line_of(text, found):
    """The line of a match, from 1."""
    return text.count("\n", 0, found.start()) + 1


def checked(check, files):
    """What `check` says of a tree that holds just these files (path -> text)."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        subprocess.run(["git", "init", "--quiet", root], check=True)
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        return check(root)


def missed(check, good, faults):
    """Which of `faults` (path, text to add to it, what the refusal must say) `check` lets through; `good` itself must pass.

    `check` answers with its refusals first.
    """
    answer = checked(check, good)[0]
    through = [f"a good tree is refused: {wrong}" for wrong in answer]
    for path, more, expected in faults:
        answer = checked(check, good | {path: good.get(path, "") + more})[0]
        if len(answer) != 1 or expected not in answer[0]:
            through.append(f"{path} + {more!r}: expected {expected!r}, got {answer}")
    return through
