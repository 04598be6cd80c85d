"""Compiled programs kept between processes: where, for whom, and never to anyone's harm."""

import os
import time

import jax
import pytest

from scorefold import _cache
from scorefold.cli.notices import Notices


@pytest.fixture
def settings(monkeypatch):
    """JAX's settings as they were, whatever a test does; no folder stated."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: jax.config._read(name) for name in names}
    monkeypatch.delenv("SCOREFOLD_COMPILATION_CACHE", raising=False)
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    yield monkeypatch
    for name, value in before.items():
        jax.config.update(name, value)


def test_the_folder_names_versions_and_processor(settings, tmp_path):
    settings.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = _cache.compilation_folder()
    assert folder.parent == tmp_path / "scorefold"
    settings.setattr(_cache, "_processor", lambda: "another")
    assert _cache.compilation_folder() != folder
    settings.setattr(_cache, "__version__", "9")
    assert "9-" in _cache.compilation_folder().name
    settings.setenv("XDG_CACHE_HOME", "relative")
    assert _cache.compilation_folder().is_absolute()


@pytest.mark.parametrize("value", ["0", "off", "no"])
def test_off_by_the_environment(settings, value):
    settings.setenv("SCOREFOLD_COMPILATION_CACHE", value)
    jax.config.update("jax_compilation_cache_dir", None)
    assert not _cache.keep_compilations()
    assert jax.config._read("jax_compilation_cache_dir") is None


def test_where_nothing_can_be_written(settings, tmp_path, recwarn):
    """A file in the way of the folder, and a link in its place: off, and not a word."""
    (tmp_path / "home").write_text("a file")
    settings.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert not _cache.keep_compilations()
    settings.setenv("SCOREFOLD_COMPILATION_CACHE", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    _cache.compilation_folder().symlink_to(tmp_path / "elsewhere")
    assert not _cache.keep_compilations() and not recwarn.list


def test_the_oldest_programs_go(settings, tmp_path):
    settings.setenv("SCOREFOLD_COMPILATION_CACHE", str(tmp_path))
    settings.setattr(_cache, "_LIMIT", 250)
    folder = _cache.compilation_folder()
    folder.mkdir(parents=True)
    for k in range(4):
        path = folder / f"p{k}-cache"
        path.write_bytes(b"x" * 100)
        os.utime(path, (time.time() - k, time.time() - k))
    assert _cache.keep_compilations()
    assert sorted(p.name for p in folder.iterdir()) == ["p0-cache", "p1-cache"]
    _cache.clear_compilations()
    assert not list(folder.iterdir())


def test_a_damaged_program_is_compiled_again_in_silence(capsys):
    import warnings

    with Notices() as notices:
        warnings.warn("Error reading persistent compilation cache entry for 'jit_f'", stacklevel=1)
        warnings.warn("something else", stacklevel=1)
    assert notices.cache_damaged and notices.lines == ["something else"]
    assert capsys.readouterr().err == "scorefold: warning: something else\n"
