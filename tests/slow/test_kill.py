"""SIGKILL at 20 random moments, resumed each time: the bits of a run that was never killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path(__file__).parents[1] / "faults" / "toy_run.py"
STEPS = 40_000


def child(out, *arguments):
    return subprocess.run(
        [sys.executable, str(PROGRAM), str(out), *map(str, arguments)],
        capture_output=True, text=True, timeout=1200,
    )  # fmt: skip


@pytest.mark.timeout(3600)
@pytest.mark.fault(
    1,
    "SIGKILL at 20 random moments of one training, resumed each time: the bits of a "
    "run never killed",
)
def test_killed_twenty_times(tmp_path):
    """Each process is killed between 0 and 0.5 s after it began its first save: while it trains,
    validates, writes or renames. The last is left to finish."""
    rng = np.random.default_rng(0)
    progress = []
    for delay in rng.uniform(0.0, 0.5, 20):
        run = child(tmp_path / "killed", f"kill-after={delay}", STEPS)
        assert run.returncode == -signal.SIGKILL, run.stderr + run.stdout
        files = sorted(p.name for p in (tmp_path / "killed").glob("checkpoint-*.safetensors"))
        progress.append(files[-1] if files else "")
        assert len(files) <= 3
    assert progress == sorted(progress) and len(set(progress)) > 10
    killed = child(tmp_path / "killed", "none=0", STEPS)
    whole = child(tmp_path / "whole", "none=0", STEPS)
    assert whole.returncode == 0, whole.stderr
    assert killed.stdout == whole.stdout
