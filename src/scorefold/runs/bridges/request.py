"""What is asked of a bridge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scorefold._types import Document, ReadOnlyDocument, Values
from scorefold.bridges.fit_snapshots import SnapshotMethod
from scorefold.data import Coordinates
from scorefold.runs.axes import on_earth
from scorefold.runs.bridges.choices import BRIDGES, LENGTH, METHODS, BridgeChoice
from scorefold.runs.errors import RunError
from scorefold.runs.identity import described, point_digests
from scorefold.runs.reading import Reading
from scorefold.runs.request import Request
from scorefold.runs.setting import check_settings


@dataclass(frozen=True, kw_only=True)
class BridgeRequest(Request):
    """A Schrödinger bridge between two tables, or through three and more snapshots: ``data`` are
    names or files, or one: the name of a recorded set of snapshots, or a table with a column of
    times.

    - ``model``: a name of ``BRIDGES`` (default: light). ``variance``: of Brownian motion from the
      first table to the last (default: from the data).
    - of snapshots: ``method``: of ``METHODS`` (default: best), ``model`` and the length of training
      are of "bridge" alone; ``times`` (default: 0, 1, 2, …); ``survivors``: join members that are
      seen at both ends of an interval; ``leave_out``: also fit every method without each inner one,
      and measure; of one table: ``time``, its column of times, and ``member``, of labels;
      ``growth``: learn where members multiply or vanish (current, best).
    """

    data: tuple[str, ...]
    method: str | None = None
    model: str | None = None
    variance: float | None = None
    times: tuple[float, ...] | None = None
    time: str | None = None
    member: str | None = None
    growth: bool = False
    survivors: bool = False
    leave_out: bool = False

    @classmethod
    def of(cls, found: ReadOnlyDocument) -> BridgeRequest:
        """The request of a run, from its ``run.json``."""
        settings, times = found["settings"], found["settings"]["times"]
        return cls(data=tuple(found["data"]), reading=Reading(**found["options"]),
                   seed=found["seed"], earth=found["earth"],
                   **settings | {"times": None if times is None else tuple(times)})  # fmt: skip

    def choice(self) -> BridgeChoice:
        """**Raises:** ``RunError`` for a name of no bridge, and for training that it does not
        take."""
        if self.bridge not in BRIDGES:
            raise RunError(f"no bridge is called {self.bridge!r}: there are {', '.join(BRIDGES)}.")
        stated = {"steps": self.steps, "budget": self.budget}
        check_settings(stated, LENGTH, f"--model {self.bridge}")
        BRIDGES[self.bridge].training(self.steps, self.budget)
        return BRIDGES[self.bridge]

    @property
    def bridge(self) -> str:
        """The name of the bridge between two ends."""
        return self.model or "light"

    def snapshot_method(self) -> SnapshotMethod:
        """Of many snapshots. **Raises:** ``RunError`` for a name of none, and for what is stated
        and is no option of it."""
        if (self.method or "best") not in METHODS:
            raise RunError(f"no method is called {self.method!r}: there are {', '.join(METHODS)}.")
        method: SnapshotMethod = self.method or "best"  # type: ignore[assignment]
        own = {"model": self.model, "steps": self.steps, "budget": self.budget,
               "survivors": self.survivors or None}  # fmt: skip
        stated = [name for name, value in own.items() if value is not None]
        if method == "bridge":
            self.choice()
        elif stated:
            raise RunError(f"--{stated[0]} is an option of --method bridge; the method is "
                           f"{method}{'' if self.method else ', the default'}.")  # fmt: skip
        if self.growth and method not in ("current", "best"):
            raise RunError("--growth is an option of --method current and best; the method is "
                           f"{method}.")  # fmt: skip
        if method in ("spline", "momentum") and self.variance is not None:
            raise RunError(f"--variance is no option of --method {method}, which has no Brownian "
                           "motion of positions.")  # fmt: skip
        return method

    def described(
        self, names: list[str], parts: Mapping[str, Values], first: Coordinates, **found: object
    ) -> Document:
        """What ``run.json`` says: ``parts`` holds the points to train, to validate and to test, an
        array for each of ``names``; ``first``: of the first table; ``found``: what follows from
        the data where nothing was stated."""
        stated = (
            "method", "model", "variance", "steps", "budget", "times", "survivors", "time",
            "member", "growth",
        )  # fmt: skip
        return described(
            self.data,
            bridge=names,
            options=self.reading.stated(),
            settings={name: getattr(self, name) for name in stated},
            points=point_digests(parts),
            seed=self.seed,
            earth=on_earth(self.earth, *(names if len(self.data) > 1 else self.data)),
            coordinates=first.to_dict(),
            **found,
        )
