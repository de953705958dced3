"""How far a long command is: lines for a log, bars for a person."""

import pytest

from retail.kernel.progress import told


def test_a_log_gets_a_line_every_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with told({"reading": "Reading the file", "checking": "Checking"}, "lines") as tell:
        for done in range(0, 1001, 20):
            tell("reading", done, 1000)
        tell("checking", 0, 0)
        tell("checking", 0, 0)
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert lines[0] == "Reading the file: 0 of 1,000 lines"
    assert lines[-2:] == ["Reading the file: 1,000 of 1,000 lines", "Checking ..."]
    assert len(lines) == 12


def test_a_person_sees_a_bar_and_how_fast_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with told({"reading": "Reading the file", "checking": "Checking"}, "lines") as tell:
        for done in (0, 300, 1000):
            tell("reading", done, 1000)
    shown = capsys.readouterr().err
    assert "Reading the file" in shown
    assert "1000/1000" in shown
    assert "/s" in shown
    assert "Checking" not in shown  # not begun
