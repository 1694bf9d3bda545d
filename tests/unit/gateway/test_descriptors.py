from __future__ import annotations

from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from optrading.access.v1 import access_pb2
from optrading.common.access import CONTRACT, services_of
from optrading.gateway.descriptors import descriptor_set, write_descriptor_set


def test_every_file_comes_after_all_that_it_imports() -> None:
    seen: set[str] = set()
    for file in descriptor_set().file:
        assert set(file.dependency) <= seen
        assert file.name not in seen
        seen.add(file.name)


def test_the_contract_and_the_messages_of_errors_are_all_there() -> None:
    files = {file.name: file for file in descriptor_set().file}
    services = {f"{file.package}.{service.name}" for file in files.values() for service in file.service}
    assert services == {service.full_name for workload in CONTRACT for service in services_of(workload)}
    assert {"google/rpc/status.proto", "google/rpc/error_details.proto", "google/api/http.proto"} <= set(files)


def test_options_survive() -> None:
    (file,) = [each for each in descriptor_set().file if each.name.endswith("collection_service.proto")]
    assert all(method.options.HasExtension(access_pb2.access) for method in file.service[0].method)


def test_the_file_is_the_same_each_time_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "gateway" / "contract.pb"
    write_descriptor_set(path)
    first = path.read_bytes()
    write_descriptor_set(path)
    assert path.read_bytes() == first
    assert FileDescriptorSet.FromString(first) == descriptor_set()
    assert [each.name for each in path.parent.iterdir()] == ["contract.pb"]
