"""The version of the installed package, which is made from the tags of git."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("scorefold")
except PackageNotFoundError:
    __version__ = "0.0.0+not.installed"
