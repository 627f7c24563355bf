"""Prints the results of a JUnit file as lines `passed NAME`, `failed NAME`, `skipped NAME: why`."""
import ast
import sys
import xml.etree.ElementTree as tree


def result(case):
    name = f"{case.get('classname', '')}.{case.get('name', '')}".strip(".").replace("\n", " ")
    for child in case:
        if child.tag in ("failure", "error"):
            return f"failed {name}"
        if child.tag == "skipped":
            return f"skipped {name}: {reason(child)}".replace("\n", " ")
    return f"passed {name}" if case.get("status", "run") in ("run", "passed") else f"failed {name}"


def reason(skipped):
    """A file that is skipped as a whole says why in a tuple: file, line, reason."""
    if skipped.get("message") == "collection skipped":
        return ast.literal_eval(skipped.text)[2].replace("Skipped: ", "", 1)
    return skipped.get("message", "")


for test in tree.parse(sys.argv[1]).iter("testcase"):
    print(result(test))
