"""Runs of ``judge``: what is written is never read, each input that was asked for is accounted for, and names may be any bytes."""

import json
import os
import sys
from pathlib import Path

import pytest

import deploy.cli

PACK = """
policy: p
city: {adcode: "110100", name_zh: 甲, name_en: A, timezone: Asia/Shanghai}
document: {title: t, number: n, file: f}
rules:
  - {rule: unregistered_vehicle, id: stranger, clause: "1", severity: warning}
"""
NOON_MS = 1_715_054_400_000


def fixes(number=3, **changes):
    return "".join(json.dumps({"event_id": f"e{n}", "event_time_ms": NOON_MS + 10_000 * n, "vehicle_id": "BJ-1", "lon": 116.32, "lat": 39.92, **changes}) + "\n" for n in range(number))


@pytest.fixture
def judge(capsys, monkeypatch, tmp_path):
    """Exit code, all that was printed, the summary (None where there is none)."""
    (tmp_path / "pack.yaml").write_text(PACK, "utf-8")

    def run(*arguments, out=tmp_path / "out"):
        monkeypatch.setattr(sys, "argv", ["yicheng", "judge", "--policy", str(tmp_path / "pack.yaml"), "--out", str(out), *map(str, arguments)])
        code = deploy.cli._outcome()
        text, err = capsys.readouterr()
        assert "Traceback" not in err
        summary = Path(out) / "summary.json"
        return code, text + err, json.loads(summary.read_text()) if code < 2 and summary.exists() else None

    return run


def test_a_folder_may_hold_the_folder_that_is_written_to(tmp_path, judge):
    """What is refused is written there while the folder is read: it would be refused again, without end."""
    day = tmp_path / "day"
    day.mkdir()
    (day / "fixes.jsonl").write_text(fixes() + fixes(5_000, event_time_ms=NOON_MS // 1000))
    for _ in range(2):  # the second time the files of the first are there
        code, text, summary = judge("--gps", day, out=day / "out")
        assert code == 0 and summary["fixes"] == {"accepted": 3, "invalid_time": 5_000}, text


@pytest.mark.parametrize("name", ["rejects.jsonl", "incidents.jsonl"])
def test_a_file_that_would_be_written_over_is_not_read(tmp_path, judge, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text(fixes())
    code, text, _ = judge("--gps", tmp_path / "out" / ".." / "out" / name)
    assert code == 2 and text.count("\n") == 1 and "would write over it; name another folder" in text
    assert (tmp_path / "out" / name).read_text() == fixes()


def test_standard_input_is_read_once_whatever_for(judge):
    code, text, _ = judge("--gps", "-", "--scans", "-")
    assert code == 2 and text.count("\n") == 1 and "can be read once" in text


@pytest.mark.parametrize(("scans", "expected", "told"), [("", 0, "scans: 0 accepted, 0 refused"), ("not json\n" * 3, 1, "none of 3 scans could be judged")])
def test_an_input_of_which_nothing_could_be_read_is_told_beside_one_that_was(tmp_path, judge, scans, expected, told):
    """And fails where there was something to read."""
    (tmp_path / "fixes.jsonl").write_text(fixes())
    (tmp_path / "scans.jsonl").write_text(scans)
    code, text, _ = judge("--gps", tmp_path / "fixes.jsonl", "--scans", tmp_path / "scans.jsonl")
    assert code == expected and "fixes: 3 accepted" in text and "scans: 0 accepted" in text and told in text


def test_a_registry_that_holds_nothing_is_told(tmp_path, judge):
    """By it every vehicle is accused of being unregistered: somebody's export may have failed."""
    (tmp_path / "fixes.jsonl").write_text(fixes())
    (tmp_path / "none.jsonl").touch()
    code, text, _ = judge("--gps", tmp_path / "fixes.jsonl", "--registry", tmp_path / "none.jsonl")
    assert code == 0 and "none.jsonl 没有任何登记记录" in text and "every vehicle and outlet counts as unregistered" in text


def test_answers_that_concern_nothing_are_told(tmp_path, judge):
    (tmp_path / "fixes.jsonl").write_text(fixes())
    judge("--gps", tmp_path / "fixes.jsonl")
    name = json.loads((tmp_path / "out" / "incidents.jsonl").read_text().splitlines()[0])["incident_id"]
    answers = tmp_path / "answers.jsonl"
    answers.write_text("".join(json.dumps({"incident_id": each, "action": "fined", "time_ms": NOON_MS, "by": None, "reason": None}) + "\n" for each in (name, "NOBODY")))
    code, text, _ = judge("--gps", tmp_path / "fixes.jsonl", "--answers", answers)
    assert code == 0 and "answers: 2 read, 1 to no incident of these files" in text
    answers.write_text('\n{"incident_id":"I","action":"finde","time_ms":1,"by":null,"reason":null}\n')
    code, text, _ = judge("--gps", tmp_path / "fixes.jsonl", "--answers", answers)
    assert code == 2 and text.count("\n") == 1 and "answers.jsonl:2: finde is no answer" in text and "fined" in text


@pytest.mark.parametrize("suffix", [b".jsonl", b".csv"])
def test_names_of_files_may_be_any_bytes(tmp_path, judge, suffix):
    """As those of an archive that was packed on another system."""
    good = {b".jsonl": fixes(1) + "not json\n", b".csv": "event_id,event_time_ms,vehicle_id,lon,lat\ne0,1715054400000,BJ-1,116.3,39.9\ne1,1715054400,BJ-1,116.3,39.9\n"}[suffix]
    folder = os.fsencode(tmp_path / "day")
    os.mkdir(folder)
    with open(os.path.join(folder, "轨迹".encode("gbk") + suffix), "w") as file:
        file.write(good)
    code, text, summary = judge("--gps", tmp_path / "day")
    assert code == 0 and summary["fixes"]["accepted"] == 1 and "Traceback" not in text
    (refused,) = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_text("utf-8").splitlines()]
    assert "\\xb9" in refused["file"] and "\\xb9" in text
