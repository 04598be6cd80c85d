"""The public names of scorefold and where each is defined, read from the source without JAX."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"


def rooms() -> list[str]:
    """Every room with an ``__all__``: ``bridges``, ``data``, … in the order of their names."""
    folders = sorted(p.parent.name for p in (SOURCE / "scorefold").glob("*/__init__.py"))
    return [room for room in folders if names(f"scorefold.{room}")]


def names(module: str) -> tuple[str, ...]:
    """``__all__`` of a module, or of the module that holds the names of a lazy room."""
    for node in _tree(_holder(module)).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return tuple(ast.literal_eval(node.value))
    return ()


def origin(module: str, name: str) -> str:
    """The dotted path of where ``name`` of ``module`` is defined: that of a module for a room."""
    for node in _tree(_holder(module)).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    if _is_module(f"{node.module}.{name}") and node.module == "scorefold":
                        return f"scorefold.{name}"
                    return origin(node.module, alias.name)
    return f"{_holder(module)}.{name}"


def documentation(module: str, name: str) -> str | None:
    """The docstring of a class or function, that of its ``__init__`` behind it, or the text below
    an assigned name; None where there is none."""
    path = origin(module, name)
    if _is_module(path) and not _defines(path.rpartition(".")[0], name):
        return ast.get_docstring(_tree(path))
    body = _tree(path.rpartition(".")[0]).body
    for place, node in enumerate(body):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
            nodes = [node, *methods] if isinstance(node, ast.ClassDef) else [node]
            return "\n\n".join(filter(None, map(ast.get_docstring, nodes))) or None
        if isinstance(node, ast.Assign | ast.AnnAssign) and name in _assigned(node):
            below = body[place + 1] if place + 1 < len(body) else None
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                return str(below.value.value)
    return None


def _assigned(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [ast.unparse(target) for target in targets]


def _defines(module: str, name: str) -> bool:
    found = [n for n in _tree(module).body if isinstance(n, ast.ClassDef | ast.FunctionDef)]
    return any(node.name == name for node in found)


def _holder(module: str) -> str:
    return f"{module}._public" if _is_module(f"{module}._public") else module


def _file(module: str) -> Path:
    path = SOURCE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _is_module(module: str) -> bool:
    return _file(module).exists()


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_file(module).read_text(encoding="utf-8"))
