#!/usr/bin/env python3
"""Counts the lines of code of the program: src without blank lines, comments and tests.

    scripts/code-lines.py [--files] [--revision REVISION]

A line counts where something is left of it when comments are taken away. Tests are files named tests.rs, files in folders named
tests, and what stands under #[cfg(test)]. --files prints each file's count too, largest first, and --revision counts a revision
of the repository in place of the working tree.
"""

import argparse
import collections
import io
import pathlib
import re
import subprocess
import tarfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*)"""
    r"""|(?P<raw>b?r(?P<fence>\#*)"(?s:.*?)"(?P=fence))"""
    r"""|(?P<text>b?"(?s:\\.|[^"\\])*")"""
    r"""|(?P<char>b?'(?:\\[^\n]{1,10}?|[^'\\\n])')""",
    re.VERBOSE,
)


def without_comments(source):
    """The source without comments, and with literals blanked but for their line breaks."""
    out, at = [], 0
    while found := TOKEN.search(source, at):
        out.append(source[at : found.start()])
        end = found.end()
        if found["comment"] == "/*":
            depth = 1
            while depth and end < len(source):
                mark = source[end : end + 2]
                depth += (mark == "/*") - (mark == "*/")
                end += 2 if mark in ("/*", "*/") else 1
        kept = found.group() if found["comment"] is None else source[found.start() : end]
        blank = " " if found["comment"] else "x"
        out.append("".join("\n" if letter == "\n" else blank for letter in kept))
        at = end
    out.append(source[at:])
    return "".join(out)


def without_tests(code):
    """The code without the items that stand under #[cfg(test)]."""
    while found := re.search(r"#\[cfg\(test\)\]", code):
        end, depth = found.end(), 0
        while end < len(code):
            letter = code[end]
            depth += (letter in "{([") - (letter in "})]")
            end += 1
            # The item ends with its body, or with the semicolon it has instead; a further attribute is part of it.
            if depth == 0 and (letter == ";" or letter == "}"):
                break
        code = code[: found.start()] + code[end:]
    return code


def count(source):
    return sum(1 for line in without_tests(without_comments(source)).splitlines() if line.strip())


def sources(revision):
    """The program's files: name and text."""
    if revision:
        packed = subprocess.run(
            ["git", "-C", str(ROOT), "archive", revision, "src"], check=True, capture_output=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            for member in archive:
                if member.isfile():
                    yield member.name, archive.extractfile(member).read().decode()
    else:
        for path in (ROOT / "src").rglob("*.rs"):
            yield path.relative_to(ROOT).as_posix(), path.read_text()


def is_tests(name):
    parts = name.split("/")
    return parts[-1] in ("tests.rs", "bench.rs") or "tests" in parts[:-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--files", action="store_true", help="print each file's count too")
    parser.add_argument("--revision", help="count this revision of the repository")
    asked = parser.parse_args()
    counts = {
        name: count(text)
        for name, text in sources(asked.revision)
        if name.endswith(".rs") and not is_tests(name)
    }
    if asked.files:
        for name, lines in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])):
            print(f"{lines:6} {name}")
    rooms = collections.Counter()
    for name, lines in counts.items():
        rooms[name.split("/")[1]] += lines
    for room, lines in rooms.most_common():
        print(f"{lines:6} src/{room}")
    print(f"{sum(counts.values()):6} in all, {len(counts)} files")


if __name__ == "__main__":
    main()
