"""What ``up`` shows of rates: a target is held against the rate that it is about."""

import pytest
from rich.console import Console

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
