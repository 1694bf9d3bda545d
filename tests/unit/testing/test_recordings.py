"""The command that writes recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from optrading.testing.recordings import main


def test_it_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(tmp_path / "day.csv"), "--minutes", "2", "--strikes", "1"])
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'day.csv'}: 2 chains, ")


@pytest.mark.parametrize("wrong", [["--minutes", "0"], ["--interval", "0"], ["--strikes", "-1"]])
def test_a_number_that_makes_no_recording_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / "day.csv"), *wrong])
    assert ended.value.code == 2
    assert "1 or more" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
