"""A file that is there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def whole(path: Path, *, over: bool = True) -> Iterator[TextIO]:
    """A file to write, for its owner only, that gets its name at the end; when anything fails, nothing is left of it.

    It takes the place of one that has the name already, unless `over` is False: then FileExistsError is raised.
    Raises OSError when it cannot be written.
    """
    import tempfile

    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_beside(path))
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if over:
            Path(temporary).replace(path)
        else:
            _take_name(path, temporary)
    finally:
        Path(temporary).unlink(missing_ok=True)


def try_out(path: Path) -> None:
    """Raise OSError when `whole` could not even begin to write there."""
    import tempfile

    tempfile.NamedTemporaryFile(dir=path.parent, prefix=_beside(path)).close()


def _beside(path: Path) -> str:
    """How the name of a file begins that is to become the one at that path."""
    return f".{path.name}-"


def _take_name(path: Path, temporary: str) -> None:
    """Give the file its name, unless another one has it. Raises FileExistsError then, OSError when it cannot be."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # not every file system has hard links
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        Path(temporary).replace(path)
