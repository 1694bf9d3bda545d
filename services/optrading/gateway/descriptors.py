"""The contract as a file that Envoy reads: every message it translates between JSON and protobuf."""

from __future__ import annotations

import os
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2

from optrading.common.access import CONTRACT

# Without these Envoy answers an error of a service with an empty 400.
_ERRORS = (status_pb2.DESCRIPTOR, error_details_pb2.DESCRIPTOR)


def descriptor_set() -> FileDescriptorSet:
    """Return the contract's files and all they import, each after what it imports."""
    files: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        if file.name not in files:
            for imported in file.dependencies:
                add(imported)
            files[file.name] = file

    for file in (*CONTRACT.values(), *_ERRORS):
        add(file)
    found = FileDescriptorSet()
    for file in files.values():
        file.CopyToProto(found.file.add())
    return found


def write_descriptor_set(path: Path) -> None:
    """Write the contract to `path`; a reader sees the old file or the new one, never a part.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_bytes(descriptor_set().SerializeToString(deterministic=True))
    partial.replace(path)
