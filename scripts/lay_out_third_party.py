"""Lays out google's .proto files for buf, read from the installed wheel of googleapis-common-protos."""

from __future__ import annotations

import shutil
import sys
from importlib.metadata import files
from pathlib import Path, PurePosixPath

PACKAGE = "googleapis-common-protos"
WANTED = (PurePosixPath("google/api"), PurePosixPath("google/rpc"))


def lay_out(target: Path) -> None:
    """Copy the wanted files below `target`.

    Raises:
        SystemExit: The package is not installed.
    """
    protos = [path for path in files(PACKAGE) or () if path.suffix == ".proto" and path.parent in WANTED]
    if not protos:
        raise SystemExit(f"{PACKAGE} is not installed; run `make test` or `make check`")
    for path in protos:
        destination = target / path
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(path.locate()), destination)


if __name__ == "__main__":
    lay_out(Path(sys.argv[1]))
