from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from optrading.gateway import render
from optrading.gateway.skeleton import gateway_directory


def test_the_checked_in_routes_are_what_the_contract_gives() -> None:
    path = gateway_directory() / "routes.yaml"
    assert path.read_text(encoding="utf-8") == render.render_routes(), "run `make generate`"
    assert render.main(["--check"]) == 0


def test_the_check_fails_on_a_change_and_writing_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(gateway_directory(), tmp_path / "gateway")
    monkeypatch.setattr(render, "gateway_directory", lambda: tmp_path / "gateway")
    routes = tmp_path / "gateway" / "routes.yaml"
    routes.write_text(routes.read_text(encoding="utf-8").replace("admin_access", "read_data", 1), encoding="utf-8")
    assert render.main(["--check"]) == 1
    assert "make generate" in capsys.readouterr().err
    assert render.main([]) == 0
    assert render.main(["--check"]) == 0


def test_nothing_of_one_machine_is_in_the_checked_in_routes() -> None:
    assert str(Path(__file__).resolve().parents[3]) not in render.render_routes()
    assert "127.0.0.1" not in render.render_routes()
