"""No room above asks what a manifold is: what it needs to know are facts that a manifold states."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "scorefold"
GEOMETRIES = {"Euclidean", "Hyperbolic", "Product", "SO3", "Sphere", "Torus"}
OWN = {"manifolds", "heat"}
PREFIXES = ("R^", "S^", "T^", "H^", "SO(")
"""How names of the geometries begin."""


def names_in(node):
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} | {
        n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)
    }


def texts_in(node):
    return [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and type(n.value) is str]


def asks_for_a_class(node):
    """``isinstance(m, Sphere)``, ``type(m) is Sphere``, ``kind in (Sphere, Torus)``."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("isinstance", "issubclass"):
        return bool(names_in(node.args[1]) & GEOMETRIES)
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        sides += [part for c in sides for part in getattr(c, "elts", [])]
        return any(isinstance(side, ast.Name) and side.id in GEOMETRIES for side in sides)
    return isinstance(node, ast.MatchClass) and bool(names_in(node.cls) & GEOMETRIES)


def asks_for_a_name(node):
    """``m.name == "S^2"``, ``m.name.startswith("T^")``."""
    if isinstance(node, ast.Compare):
        return any(text.startswith(PREFIXES) for text in texts_in(node))
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    if called and node.func.attr in ("startswith", "removeprefix", "split", "partition"):
        texts = [text for argument in node.args for text in texts_in(argument)]
        return any(text == "^" or text.startswith(PREFIXES) for text in texts)
    return False


def questions(tree):
    return [n.lineno for n in ast.walk(tree) if asks_for_a_class(n) or asks_for_a_name(n)]


def test_questions_are_found():
    for text in (
        "isinstance(m, Sphere)", "isinstance(a.manifold, Torus | manifolds.SO3)",
        "type(m) is Product", "kind in (Euclidean, Sphere)", 'm.name == "S^2"',
        'm.name.startswith("T^")', 'm.name.split("^")',
        "match m:\n    case Sphere(d=2): pass",
    ):  # fmt: skip
        assert questions(ast.parse(text)), text
    for text in ("isinstance(m, Manifold)", "Sphere(2)", "x: Sphere | None", 'f"on S^2"'):
        assert not questions(ast.parse(text)), text


EXPERIMENTS = "bench/theory/"
"""Closed forms on spaces that each experiment names itself."""


def test_no_room_asks():
    found = {}
    for path in SOURCE.rglob("*.py"):
        inside = path.relative_to(SOURCE)
        if inside.parts[0] not in OWN and not inside.as_posix().startswith(EXPERIMENTS):
            lines = questions(ast.parse(path.read_text()))
            if lines:
                found[str(path.relative_to(SOURCE))] = lines
    assert found == {}


def test_heat_kernels_are_asked_for_eigenfunctions_in_five_files():
    """The other way to ask: what has the eigenfunctions of a sphere or of rotations."""
    asked = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if path.relative_to(SOURCE).parts[0] not in OWN
        and names_in(ast.parse(path.read_text())) & {"sphere_dimension", "is_of_rotations"}
    }
    assert asked == {
        "bridges/exact/spectral_basis.py",
        "kernels/wrapped/families.py",
        "models/mixtures/kent.py",
        "models/mixtures/von_mises_fisher.py",
        "samplers/density_mass.py",
    }
