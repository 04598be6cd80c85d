"""Finding a registered file: in the user's folder, in the cache, or at its public source."""

import hashlib
import os
import tempfile
from pathlib import Path

from scorefold._oneline import one_line
from scorefold._warnings import warn
from scorefold.data._errors import DataError
from scorefold.data.sources.registry import Entry, Source

CACHE_VERSION = "v1"
_VARIABLE = "SCOREFOLD_DATA_DIR"


def locate(entry: Entry, data_dir: str | os.PathLike | None = None) -> tuple[Path, Source]:
    """The path of a verified copy of the data set, and which copy it is.

    Looks under ``data_dir`` (default: the environment variable SCOREFOLD_DATA_DIR), in the
    sub-folders of the registry or flat by file name; then in the user's cache; then downloads
    from the public source into that cache.
    **Raises:** ``DataError`` if a file found has another sha256 than the registry's, or if the
    source cannot be reached (with the address, the sha256 and where to put the file).
    """
    folder = data_dir if data_dir is not None else os.environ.get(_VARIABLE)
    if folder:
        root = Path(folder).expanduser()
        if not root.is_dir():
            raise DataError(f"The data folder {str(folder)!r} does not exist or is no folder.")
        found = _in_folder(entry, root)
        if found is not None:
            return found
    return _in_cache(entry)


def cache_folder() -> Path:
    """A writable folder for downloads: the user's cache, or with a warning a temporary folder."""
    import pooch

    preferred = Path(pooch.os_cache("scorefold")) / CACHE_VERSION
    try:
        preferred.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=preferred):
            return preferred
    except OSError as error:
        owner = os.getuid() if hasattr(os, "getuid") else "user"
        fallback = Path(tempfile.gettempdir()) / f"scorefold-{owner}" / CACHE_VERSION
        warn(
            f"The cache {preferred} cannot be written ({error.strerror}); "
            f"downloads go to {fallback}."
        )
        fallback.mkdir(parents=True, exist_ok=True, mode=0o700)
        return fallback


def sha256_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _in_folder(entry: Entry, root: Path) -> tuple[Path, Source] | None:
    known = {source.sha256: source for source in entry.sources}
    for source in entry.sources:
        for path in (root / source.path, root / Path(source.path).name):
            if path.is_file():
                digest = sha256_of(path)
                if digest not in known:
                    raise DataError(
                        f"{path} is not the file registered as {entry.name!r}: expected sha256 "
                        f"{source.sha256}, found {digest}. Replace it, or pass it as a path to "
                        "use it as a file of your own."
                    )
                return path, known[digest]
    return None


def _in_cache(entry: Entry) -> tuple[Path, Source]:
    import pooch

    source = next((s for s in entry.sources if s.url is not None), None)
    if source is None:
        first = entry.sources[0]
        raise DataError(
            f"{entry.name!r} has no public address: put the file (sha256 {first.sha256}) as "
            f"{first.path} in a folder and pass that folder as data_dir (or the environment "
            f"variable {_VARIABLE})."
        )
    cache = cache_folder()
    # The hash is part of the name, so that versions of a file never meet.
    target = cache / f"{source.sha256[:16]}-{Path(source.path).name}"
    try:
        # Downloads to a temporary name and renames after the hash is right.
        pooch.retrieve(
            source.url,
            known_hash=f"sha256:{source.sha256}",
            fname=target.name,
            path=cache,
            downloader=pooch.HTTPDownloader(timeout=30, progressbar=False),
        )
    except (OSError, ValueError) as error:
        raise DataError(
            f"{entry.name!r} could not be downloaded from {source.url}: {one_line(error, 90)} "
            f"Connect to the network, or put the file (sha256 {source.sha256}) as "
            f"{source.path} in a folder that is data_dir (--data-dir, {_VARIABLE})."
        ) from error
    return target, source
