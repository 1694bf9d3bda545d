"""The contract keeps its own rules: lint, format, one path per package, and an access rule on every method."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor

from optrading.access.v1 import access_pb2
from optrading.common.access import CONTRACT, ContractError, access_of, read_contract
from tests.conftest import ROOT
from tests.repository.conftest import repository_files, run

pytestmark = pytest.mark.xdist_group("contract")  # one copy of the contract for all tests of it

PROTOS = tuple(path for path in repository_files() if path.suffix == ".proto")


def test_the_linter_finds_nothing(contract_workspace: Path) -> None:
    linted = run(["buf", "lint"], contract_workspace)
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_the_linter_would_find_a_field_without_a_comment(contract_workspace: Path, tmp_path: Path) -> None:
    broken = contract_workspace / "protos" / "optrading" / "broken" / "v1" / "broken.proto"
    broken.parent.mkdir(parents=True)
    broken.write_text(
        'syntax = "proto3";\n\n// A file.\npackage optrading.broken.v1;\n\n'
        "// A message.\nmessage Broken {\n  int64 a = 1;\n}\n"
    )
    try:
        linted = run(["buf", "lint"], contract_workspace)
    finally:
        broken.unlink()
        broken.parent.rmdir()
        broken.parent.parent.rmdir()
    assert linted.returncode != 0
    assert 'Field "a"' in linted.stdout


def test_the_protos_are_formatted(contract_workspace: Path) -> None:
    formatted = run(["buf", "format", "--diff", "--exit-code", "protos"], contract_workspace)
    assert formatted.returncode == 0, formatted.stdout + formatted.stderr


@pytest.mark.parametrize("path", PROTOS, ids=str)
def test_the_path_of_a_proto_is_its_package(path: Path) -> None:
    package = ".".join(path.parts[1:-1])
    assert f"\npackage {package};\n" in (ROOT / path).read_text()


def test_every_method_of_every_proto_has_an_access_rule() -> None:
    declared = sum((ROOT / path).read_text().count("\n  rpc ") for path in PROTOS)
    assert len(read_contract()) == declared


def test_a_method_open_to_users_has_a_canonical_path_under_v1_or_a_well_known_one() -> None:
    from google.api import annotations_pb2  # noqa: PLC0415  # registers the option that is read here

    for access in read_contract().values():
        rule = access.descriptor.GetOptions().Extensions[annotations_pb2.http]
        patterns = [rule, *rule.additional_bindings]
        paths = [pattern.get or pattern.post or pattern.put or pattern.delete or pattern.patch for pattern in patterns]
        if access.permission == access_pb2.PERMISSION_MESH_ONLY:
            assert paths == [""], f"{access.method} is not for users and must have no path"
        else:
            assert any(path.startswith(("/v1/", "/.well-known/")) for path in paths), access.method


@pytest.mark.parametrize("workload", sorted(CONTRACT))
def test_a_method_without_its_access_rule_is_refused(workload: str) -> None:
    method = _first_method_of_a_copy(workload, keep_rule=False)
    with pytest.raises(ContractError, match=rf"/{method.containing_service.full_name}/{method.name} has no option"):
        access_of(workload, method)


@pytest.mark.parametrize("workload", sorted(CONTRACT))
def test_the_copy_is_refused_for_the_missing_rule_only(workload: str) -> None:
    method = _first_method_of_a_copy(workload, keep_rule=True)
    assert access_of(workload, method).method.endswith(f"/{method.name}")


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (access_pb2.AccessRule(callers=[access_pb2.CALLER_GATEWAY]), "states no permission"),
        (access_pb2.AccessRule(permission=access_pb2.PERMISSION_READ_DATA), "must name its callers"),
        (
            access_pb2.AccessRule(
                permission=access_pb2.PERMISSION_READ_DATA,
                callers=[access_pb2.CALLER_GATEWAY, access_pb2.CALLER_UNSPECIFIED],
            ),
            "must name its callers",
        ),
        (
            access_pb2.AccessRule(permission=access_pb2.PERMISSION_READ_DATA, callers=[access_pb2.CALLER_STORAGE]),
            "exactly when the method is not MESH_ONLY",
        ),
        (
            access_pb2.AccessRule(permission=access_pb2.PERMISSION_MESH_ONLY, callers=[access_pb2.CALLER_GATEWAY]),
            "exactly when the method is not MESH_ONLY",
        ),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(rule: access_pb2.AccessRule, problem: str) -> None:
    method = _first_method_of_a_copy("collection", keep_rule=False, rule=rule)
    with pytest.raises(ContractError, match=problem):
        access_of("collection", method)


def _first_method_of_a_copy(
    workload: str, *, keep_rule: bool, rule: access_pb2.AccessRule | None = None
) -> MethodDescriptor:
    """Return the first method of a workload from a copy of its descriptors, with its access rule or without."""
    original = CONTRACT[workload]
    pool = descriptor_pool.DescriptorPool()
    _add_with_imports(pool, original, set())
    changed = descriptor_pb2.FileDescriptorProto()
    original.CopyToProto(changed)
    changed.name = f"copy_of_{workload}.proto"
    changed.package = "copied"
    options = changed.service[0].method[0].options
    if not keep_rule:
        options.ClearExtension(access_pb2.access)
    if rule is not None:
        options.Extensions[access_pb2.access].CopyFrom(rule)
    changed.dependency.append(original.name)
    pool.Add(changed)  # type: ignore[attr-defined]  # missing in the stubs
    service = next(iter(pool.FindFileByName(changed.name).services_by_name.values()))
    return cast(MethodDescriptor, service.methods[0])


def _add_with_imports(pool: descriptor_pool.DescriptorPool, file: FileDescriptor, added: set[str]) -> None:
    if file.name in added:
        return
    added.add(file.name)
    for imported in file.dependencies:
        _add_with_imports(pool, imported, added)
    pool.AddSerializedFile(file.serialized_pb)
