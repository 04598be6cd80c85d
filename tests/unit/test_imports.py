"""Files import in one direction: no circles, those of types and of functions included."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2] / "src"
KNOWN = [{"scorefold.heat", "scorefold.manifolds"}]
"""Rooms of the one circle there is: a geometry has its heat kernel, which knows its geometry."""


def modules():
    found = {}
    for path in (ROOT / "scorefold").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = path
    return found


def imported(name, path, known):
    """Modules that a file imports, wherever in it."""
    out = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            out |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                out.add(whole if whole in known else node.module)
    return (out & set(known)) - {name}


def circles(graph):
    """Sets of modules from each of which all others of the set can be reached (Tarjan 1972)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            members = set(stack[stack.index(node) :])
            del stack[stack.index(node) :]
            if len(members) > 1:
                found.append(members)

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [{"a", "b", "c"}]
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []


def test_files_import_in_one_direction():
    known = modules()
    graph = {name: imported(name, path, known) for name, path in known.items()}
    rooms = [{".".join(n.split(".")[:2]) for n in circle} for circle in circles(graph)]
    assert rooms == KNOWN
