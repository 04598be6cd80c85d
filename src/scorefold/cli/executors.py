"""Options that say who makes the runs of a table."""

import argparse
from typing import TYPE_CHECKING

from scorefold.cli.options import whole

if TYPE_CHECKING:
    from scorefold.bench.workers import Execute


def add_execution_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--workers", type=whole(1, 1024), metavar="N",
                       help="so many runs side by side, each in a process with one thread "
                       "(default: one after the other)")  # fmt: skip
    group.add_argument("--ray", metavar="ADDRESS", nargs="?", const="",
                       help="as tasks of the Ray cluster at ADDRESS, or of one that is started on "
                       "this machine (pip install 'scorefold[grid]')")  # fmt: skip


def execution(arguments: argparse.Namespace) -> "Execute":
    """**Raises:** ``ValueError`` where Ray is not installed."""
    from scorefold.bench.workers import in_pool, in_turn, on_ray

    if arguments.ray is not None:
        return on_ray(arguments.ray or None)
    return in_pool(arguments.workers) if arguments.workers else in_turn
