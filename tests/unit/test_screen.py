"""What ``up`` shows: a target is held against the rate that it is about; a log grows while there is something to say."""

import io

import pytest
from rich.console import Console

from deploy.up import screen
from deploy.up.progress import Progress
from deploy.up.screen import Screen
from deploy.up.summary import summary
from streams.policy.reader import load_policy


@pytest.mark.parametrize(("pack", "electronic", "words"), [("hohhot-2019", None, "90% 主要品牌快递企业 primary brands"), ("wulong-2019", "red", "90%")])
def test_a_target_of_the_primary_brands_is_not_held_against_the_whole_city(tmp_path, pack, electronic, words):
    policy, progress = load_policy(pack), Progress(tmp_path / "incidents.jsonl")
    progress.reading.ratios["electronic_waybill"] = 0.5
    table = Screen(Console(), policy, progress)._rate_table()
    label, rates, targets = (list(column.cells) for column in table.columns)
    assert (str(rates[0]), str(rates[0].style) or None, targets[0]) == ("50.0%", electronic, words), label
    progress.sink.touch()
    labels, said = (list(column.cells) for column in summary(policy, progress, tmp_path / "truth.json", 0).columns)
    assert ("primary brands 主要品牌快递企业" in said[labels.index("electronic waybill 电子运单")]) is (electronic is None)


def test_a_log_has_a_line_every_five_seconds_while_something_is_judged_and_one_a_minute_afterwards(tmp_path, monkeypatch):
    now_s, log = [1_000.0], io.StringIO()
    monkeypatch.setattr(screen.time, "monotonic", lambda: now_s[0])
    progress = Progress(tmp_path / "incidents.jsonl")
    lines = []
    with Screen(Console(file=log), load_policy("hohhot-2019"), progress).live() as show:
        for second in range(240):
            now_s[0] += 1
            progress.reading.fixes["accepted"] = max(0, 10 * (min(second, 120) - 30))
            show("")
            lines.append(log.getvalue().count("\n"))
    assert lines[29] == 5, "nothing has come yet: it is said that it waits"
    assert lines[119] - lines[29] == 15
    assert lines[130] - lines[119] <= 2 and lines[239] - lines[130] == 1 and log.getvalue().count(" 900 fixes") >= 2
