"""Strict mode for the whole suite: float32 and float64 side by side, nothing promoted silently."""

import contextlib
import gc
import os
import re
import sys
from pathlib import Path

# One thread for each worker of ``pytest -n``, unless the caller says otherwise.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

# As the command line: jaxlib 0.10.1 writes a line on every kept program.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Compiled programs are kept between workers, subprocesses and runs of the suite.
os.environ.setdefault(
    "SCOREFOLD_COMPILATION_CACHE", str(Path(__file__).parents[1] / ".pytest_cache" / "compiled")
)

import jax
import pytest

from scorefold._cache import keep_compilations

keep_compilations()
# Tests of meshes take several; everything else is on the first.
jax.config.update("jax_num_cpu_devices", 4)
# Small ones too: reading one takes 3 ms, compiling it 30 to 50.
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
# Computed where it is asked for: once in some thousand tests the other thread never answered.
jax.config.update("jax_cpu_enable_async_dispatch", False)
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


# Each program that JAX keeps takes several memory maps, of which Linux allows 65,530 a process.
MAPS = Path("/proc/self/maps")
MANY_MAPS = 25_000


@pytest.fixture(scope="module", autouse=True)
def programs_are_forgotten():
    """Compiled programs are forgotten when they are many: too many maps end in a crash."""
    yield
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > MANY_MAPS:
        jax.clear_caches()
        gc.collect()


# beartype records warnings wherever a function is defined, which is not safe where two threads do
# (training and validation are traced side by side): a test's own recorder was lost once in hundreds
# of runs. Nothing is recorded instead.
for name in ("_decor._nontype._wrap._wrapargs", "_decor._nontype._wrap._wrapreturn"):
    module = sys.modules.get(f"beartype.{name}")
    if hasattr(module, "catch_warnings"):
        module.catch_warnings = lambda **_: contextlib.nullcontext([])

COLLECTED = pytest.StashKey[list]()
SLOW_CASES = Path(__file__).with_name("slow_cases.txt")


def _slow_cases():
    """The lines of ``slow_cases.txt``, and what each of them names."""
    lines = [line for line in SLOW_CASES.read_text().splitlines() if not line.startswith("#")]
    return {line: re.compile(re.escape(f"tests/{line}").replace(r"\*", ".*")) for line in lines}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    config.stash[COLLECTED] = list(items)
    named = list(_slow_cases().values())
    for item in items:
        if any(pattern.fullmatch(item.nodeid) for pattern in named):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def collected(request):
    """All tests of the session's files, those that are not run as well."""
    return request.config.stash[COLLECTED]


@pytest.fixture(scope="session")
def slow_cases():
    return _slow_cases()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data files: SCOREFOLD_DATA_DIR, or ``shared/data`` beside the checkout."""
    stated = os.environ.get("SCOREFOLD_DATA_DIR")
    folder = Path(stated) if stated else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real data files: set SCOREFOLD_DATA_DIR to their folder")
    return folder


@pytest.fixture(scope="module")
def settings_of_users():
    """32-bit floats, JAX's own choice, as the command line has them."""
    jax.config.update("jax_enable_x64", False)
    yield
    jax.config.update("jax_enable_x64", True)
