"""Packages that scorefold does not install by itself."""

from importlib import import_module
from types import ModuleType


def needed(module: str, extra: str) -> ModuleType:
    """The module. **Raises:** ``ModuleNotFoundError`` naming the extra of scorefold that installs
    its package."""
    package = module.partition(".")[0]
    try:
        import_module(package)
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ModuleNotFoundError(
            f"{package} is not installed: pip install 'scorefold[{extra}]'.", name=package
        ) from error
