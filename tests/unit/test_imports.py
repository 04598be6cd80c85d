"""Files import in one direction: no circles, those of types and of functions included."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2] / "src"
KNOWN = []


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
    found = circles(graph)
    assert [{".".join(name.split(".")[:2]) for name in circle} for circle in found] == KNOWN


def rooms(known):
    """{room: rooms that it imports}: a folder is one room, a file beside folders one of its own,
    and so is an ``__init__``, which collects what is public."""
    folders = {name.rpartition(".")[0] for name, path in known.items() if not _init(path)}

    def room(name):
        folder = name.rpartition(".")[0]
        divided = folder == "scorefold" or any(f.startswith(f"{folder}.") for f in folders)
        return name if divided or _init(known[name]) else folder

    graph = {room(name): set() for name in known}
    for name, path in known.items():
        graph[room(name)] |= {room(o) for o in imported(name, path, known)} - {room(name)}
    return graph


def _init(path):
    return path.name == "__init__.py"


def test_rooms_import_in_one_direction():
    found = circles(rooms(modules()))
    assert [{".".join(name.split(".")[:2]) for name in circle} for circle in found] == KNOWN


def test_classes_have_names_of_their_own():
    """Two classes of one name are one riddle."""
    found = {}
    for name, path in modules().items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(name)
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_annotations_say_what_a_value_is():
    """``Any`` stands for what a file holds, keyword arguments handed on, and nothing else."""
    found = [
        f"{name}: {ast.unparse(node)}"
        for name, path in modules().items()
        for node in annotations(ast.parse(path.read_text()))
        if any(isinstance(part, ast.Name) and part.id == "Any" for part in ast.walk(node))
    ]
    assert len(found) <= 25, found


def annotations(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            yield node.annotation
        elif isinstance(node, ast.FunctionDef) and node.returns is not None:
            yield node.returns
