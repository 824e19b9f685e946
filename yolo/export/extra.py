"""The packages of the extra `export`, which are not there in the plain install."""

import importlib.util

INSTALL = "pip install 'yolov2-tensorflow[export]'"


def check_package(package: str, what: str) -> None:
    """ValueError, in one line with the way out, if a package that something needs is not installed."""
    if importlib.util.find_spec(package) is None:
        raise ValueError(f'{what} needs the package {package}, which is not installed: {INSTALL}')
