"""Which links of the Markdown files given lead nowhere: to a file that is not there, or to a heading that is not in it. Addresses
of other sites are not tried.

    links.py ROOT FILE...      a line for each; exit code 1 when there is any
"""
import os
import re
import sys

FENCE = re.compile(r"^ {0,3}(```|~~~).*?^ {0,3}\1[^\n]*$", re.M | re.S)
CODE = re.compile(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", re.S)
INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?:(?: {4}|\t)[^\n]*\n|\n)+")
LINK = re.compile(r"\]\(\s*<?([^)\s>]*)>?[^)]*\)|^ {0,3}\[[^\]]+\]:\s*(\S+)", re.M)
HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$", re.M)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.I)


def prose(text):
    return CODE.sub("", INDENTED.sub("\n", FENCE.sub("", text)))


def anchors(text):
    """As GitHub makes them of headings."""
    found = set()
    for heading in HEADING.findall(FENCE.sub("", text)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        numbered = next(n for n in [name, *(f"{name}-{i}" for i in range(1, 1000))] if n not in found)
        found.add(numbered)
    return found | set(re.findall(r"<a\s+(?:id|name)=\"([^\"]+)\"", text))


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def fault(root, path, link):
    """What is wrong with this link, or None."""
    target, _, anchor = link.partition("#")
    there = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
    if not os.path.abspath(there).startswith(os.path.abspath(root) + os.sep) and os.path.abspath(there) != os.path.abspath(root):
        return "leads out of the checkout"
    if not os.path.exists(there):
        return "there is no such file"
    if anchor and there.endswith(".md") and anchor not in anchors(read(there)):
        return "there is no such heading"
    return None


def faults(root, path):
    for match in LINK.finditer(prose(read(path))):
        link = match[1] if match[1] is not None else match[2]
        if not ELSEWHERE.match(link) and (wrong := fault(root, path, link)):
            yield f"{os.path.relpath(path, root)}: {link}: {wrong}"


def main(root, *paths):
    found = [f for p in paths for f in faults(root, p)]
    print("\n".join(found))
    return 1 if found or not paths else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
