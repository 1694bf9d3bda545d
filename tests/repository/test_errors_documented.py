"""docs/errors.md lists every reason that the code and the contract know, with its status, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from optrading.common import errors
from optrading.common.errors import ServiceError
from optrading.gateway.replies import REPLIES
from tests.conftest import ROOT
from tests.repository.conftest import python_files, repository_files, syntax_of, table_rows

REASON = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
CLASSES = {
    kind.__name__: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ServiceError)
}


@cache
def documented() -> dict[str, str]:
    """Return the status of every reason in the page."""
    rows = table_rows((ROOT / "docs" / "errors.md").read_text())
    found = [(row[0].strip("`"), row[1].strip("`")) for row in rows]
    assert len(found) == len({reason for reason, _ in found}), "a reason is listed twice"
    return dict(found)


def raised() -> Iterator[tuple[str, str]]:
    """Yield reason and status of every error that the code makes: `NotFound(..., reason="UNKNOWN_INDEX")`."""
    for path in python_files("services"):
        tree = syntax_of(path)
        names = _constants(tree)
        for call in ast.walk(tree):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in CLASSES):
                continue
            kind = CLASSES[call.func.id]
            given = next((word.value for word in call.keywords if word.arg == "reason"), None)
            for reason in [kind.reason] if given is None else _values(given, names):
                yield reason, kind.code.name
    for reply in REPLIES:
        yield reply.reason, reply.code
    for kind in CLASSES.values():
        yield kind.reason, kind.code.name


def _constants(tree: ast.Module) -> dict[str, list[str]]:
    """Return what each name of a module is assigned, where that is text or one of two texts."""
    found: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.setdefault(node.targets[0].id, []).extend(_values(node.value, {}))
    return found


def _values(node: ast.expr, names: dict[str, list[str]]) -> list[str]:
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.IfExp):
        return [*_values(node.body, names), *_values(node.orelse, names)]
    if isinstance(node, ast.Name):
        return names.get(node.id, [])
    return []


def in_lua() -> set[str]:
    """Return the reasons of the gateway's own script."""
    return {
        reason
        for path in repository_files()
        if path.suffix == ".lua"
        for reason in re.findall(r'refuse\(request, "([A-Z_]+)"', (ROOT / path).read_text())
    }


def in_protos() -> set[tuple[str, str]]:
    """Return status and reason of every `STATUS / REASON, REASON` in the comments of the contract."""
    found = set()
    for path in repository_files():
        if path.suffix != ".proto":
            continue
        comments = re.findall(r"(?:^ *//.*\n)+", (ROOT / path).read_text(), re.MULTILINE)
        for comment in comments:
            text = " ".join(line.strip().removeprefix("//").strip() for line in comment.splitlines())
            for status, reasons in re.findall(r"([A-Z_]{5,}) / ([A-Z_]+(?:, [A-Z_]+)*)", text):
                found |= {(status, reason) for reason in reasons.split(", ")}
    return found


def test_every_reason_in_the_code_is_documented_and_no_other() -> None:
    known = {reason for reason, _ in raised()} | in_lua()
    assert sorted(known - documented().keys()) == []
    assert sorted(documented().keys() - known) == []


def test_the_documented_status_is_the_one_that_is_sent() -> None:
    wrong = {(reason, status) for reason, status in raised() if documented()[reason] != status}
    assert wrong == set()


def test_the_contract_promises_only_reasons_that_exist_with_their_status() -> None:
    promised = in_protos()
    assert len(promised) > 20
    assert {(status, reason) for status, reason in promised if documented().get(reason) != status} == set()


def test_every_error_of_ours_has_a_reason_of_its_own() -> None:
    # A class's reason says no more than the status does; only the interceptor's INTERNAL has no other.
    bare = [
        f"{path}:{call.lineno}"
        for path in python_files("services")
        for call in ast.walk(syntax_of(path))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in CLASSES.keys() - {"ServiceError"}
        and not any(word.arg == "reason" for word in call.keywords)
    ]
    assert bare == []


@pytest.mark.parametrize("reason", sorted(documented()))
def test_a_reason_is_written_as_reasons_are(reason: str) -> None:
    assert REASON.fullmatch(reason)
    assert len(reason) <= 63  # the limit of ErrorInfo.reason
