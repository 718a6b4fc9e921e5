#!/usr/bin/env python3
"""Wraps the paragraphs and list items of Markdown files at 100 columns, in place.

Tables, code, headings, HTML and images stay as they are. Only white space changes, which is checked before a file is
written. Usage: scripts/wrap-docs.py [FILE...]     (default: all documents of the repository)
"""

import pathlib
import re
import sys

WIDTH = 100
# These stay on one line: code, links, images.
ATOM = re.compile(r"`[^`]*`|!?\[[^\]]*\]\([^)]*\)")
# A line that begins so would become a list item, a heading, a quote or a table.
BEGINS_SOMETHING = re.compile(r"([-*+]|\d+[.)])$|[>#|=]")


def words_of(text):
    """The words of a paragraph; an atom counts as one, and what may not begin a line hangs on the word before it."""
    atoms = []

    def keep(match):
        atoms.append(match.group(0))
        return f"\0{len(atoms) - 1}\1"

    words = []
    for word in ATOM.sub(keep, text).split():
        if words and BEGINS_SOMETHING.match(word):
            words[-1] += " " + word
        else:
            words.append(word)
    return [re.sub("\0(\\d+)\1", lambda match: atoms[int(match.group(1))], word) for word in words]


def wrapped(text, first, rest):
    """The lines of a paragraph; `first` and `rest` are what its first and its other lines begin with."""
    lines, line = [], ""
    for word in words_of(text):
        if line and len(line) + 1 + len(word) > WIDTH:
            lines.append(line)
            line = rest + word
        else:
            line = f"{line} {word}" if line else first + word
    return lines + [line]


def reflowed(text):
    out, paragraph, first, rest, is_code = [], [], "", "", False

    def end_paragraph():
        if paragraph:
            out.extend(wrapped(" ".join(paragraph), first, rest))
            paragraph.clear()

    for line in text.split("\n"):
        inner = line.strip()
        item = re.match(r"\s*(?:[*+-]|\d+\.)\s+", line)
        if inner.startswith("```"):
            end_paragraph()
            is_code = not is_code
            out.append(line)
        elif is_code:
            out.append(line)
        elif not inner or inner.startswith(("|", "#", "<", "![", ">", "---")):
            end_paragraph()
            out.append(line)
        elif item:
            end_paragraph()
            first = item.group(0)
            rest = " " * len(first)
            paragraph.append(line[len(first) :])
        else:
            if not paragraph:
                first = rest = line[: len(line) - len(line.lstrip())]
            paragraph.append(inner)
    end_paragraph()
    return "\n".join(out)


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    files = [pathlib.Path(name) for name in sys.argv[1:]]
    files = files or [*root.glob("*.md"), *root.glob("docs/**/*.md")]
    for file in files:
        before = file.read_text()
        after = reflowed(before)
        if before.split() != after.split():
            sys.exit(f"{file}: more than white space would change")
        if before != after:
            file.write_text(after)
            print(f"wrapped {file}")


if __name__ == "__main__":
    main()
