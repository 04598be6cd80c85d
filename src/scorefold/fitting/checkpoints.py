"""The state of a run on disk: the last two, each a file that is complete or absent."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from scorefold._oneline import one_line
from scorefold._types import Document
from scorefold._warnings import warn
from scorefold.fitting import container
from scorefold.fitting.errors import DamagedFile, DifferentRun
from scorefold.fitting.fingerprint import differences

_FORMAT = "scorefold checkpoint"
_VERSION = 1
_KEEP = 2


@runtime_checkable
class Recorded(Protocol):
    """What is kept of a run beside its state."""

    @property
    def steps(self) -> int:
        """Steps taken, which number the file."""

    def split(self) -> tuple[Document, dict[str, np.ndarray]]:
        """Numbers and arrays, that it can be made from again."""


R = TypeVar("R", bound=Recorded)


class Checkpoints:
    """``checkpoint-<step>.safetensors`` files of one run, identified by ``identity``.

    Whoever makes one holds the lock of the directory, or reads it after the process that does:
    what a killed save left behind is removed.
    """

    def __init__(self, directory: Path, identity: dict[str, str]) -> None:
        self.directory = directory
        self.identity = identity
        for leftover in directory.glob(".checkpoint-*.tmp"):
            if leftover.is_symlink() or not leftover.is_dir():
                leftover.unlink()

    def files(self) -> list[Path]:
        """Committed checkpoints, the newest first."""
        return sorted(self.directory.glob("checkpoint-*.safetensors"), reverse=True)

    def save(self, state: PyTree, record: Recorded) -> Path:
        """Commit the state, any tree of arrays, and the record; then drop all but the last two.

        **Raises:** ``DiskFull``, the checkpoints before it untouched.
        """
        arrays = {f"state{name}": np.asarray(leaf) for name, leaf in _leaves(state)}
        numbers, table = record.split()
        arrays |= {f"record.{name}": array for name, array in table.items()}
        path = self.directory / f"checkpoint-{record.steps:012d}.safetensors"
        kind = {"format": _FORMAT, "version": _VERSION}
        container.write(path, arrays, {**kind, "identity": self.identity, "record": numbers})
        for old in self.files()[_KEEP:]:
            old.unlink()
        return path

    def restore(
        self, like: PyTree, join: Callable[[Document, dict[str, np.ndarray]], R]
    ) -> tuple[PyTree, R] | None:
        """The newest state that is whole, of the form of ``like``, with its record, put
        together by ``join``; None if there never was one.

        A damaged file is set aside, with a warning, in favour of the one before it; so is a link,
        which is not followed.

        **Raises:** ``DamagedFile`` if every file is damaged; ``DifferentRun`` naming the fields in
        which this run differs from the one that wrote the file.
        """
        files = self.files()
        for path in files:
            try:
                arrays, document = container.read(path, follow=False)
                identity, numbers = _contents(path, document)
                if changed := differences(identity, self.identity):
                    lines = [f"{n}: {then} there, {now} here" for n, (then, now) in changed.items()]
                    raise DifferentRun(
                        f"{path} belongs to another run: {_listed(lines)}. Resume with what it was "
                        "started with, or choose another directory.",
                        fields=tuple(changed),
                    )
                state, prefix = _fill(path, like, arrays), "record."
                table = {n.removeprefix(prefix): arrays[n] for n in arrays if n.startswith(prefix)}
                try:
                    return state, join(numbers, table)
                except (ValueError, TypeError, LookupError) as error:
                    raise DamagedFile(f"{path}: an impossible record ({error}).") from error
            except DamagedFile as error:
                if path == files[-1]:
                    raise
                warn(f"{error} Using the checkpoint before it.")
                path.rename(path.with_name(f"{path.name}.damaged"))
        return None


def _listed(lines: list[str]) -> str:
    """The first few differences; more than four are counted."""
    more = f"; and {len(lines) - 4} more" if len(lines) > 4 else ""
    return "; ".join(one_line(line, 100) for line in lines[:4]) + more


def _contents(path: Path, document: object) -> tuple[dict[str, str], Document]:
    """Identity and numbers of the record."""
    match document:
        case {"format": name, "version": version, "identity": _, "record": _} if (
            name == _FORMAT and version != _VERSION
        ):
            raise DamagedFile(
                f"{path}: a checkpoint of version {version!r}; this scorefold reads {_VERSION}."
            )
        case {"format": name, "version": _, "identity": dict(identity), "record": dict(record)} if (
            name == _FORMAT and all(isinstance(value, str) for value in identity.values())
        ):
            return identity, record
    raise DamagedFile(f"{path}: not a checkpoint of a run.")


def _leaves(state: PyTree) -> list[tuple[str, jax.Array]]:
    flat, _ = jax.tree_util.tree_flatten_with_path(state)
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in flat]


def _fill(path: Path, like: PyTree, arrays: dict[str, np.ndarray]) -> PyTree:
    leaves, changed = [], {}
    for name, leaf in _leaves(like):
        array = arrays.get(f"state{name}")
        found = "absent" if array is None else f"{array.dtype}{list(array.shape)}"
        wanted = f"{leaf.dtype}{list(leaf.shape)}"
        if array is None or found != wanted:
            changed[name] = f"{name}: {found} there, {wanted} here"
        else:
            leaves.append(jnp.asarray(array))
    if changed:
        raise DifferentRun(
            f"{path} holds a state of other shapes: {_listed(list(changed.values()))}.",
            fields=tuple(changed),
        )
    return jax.tree.unflatten(jax.tree.structure(like), leaves)
