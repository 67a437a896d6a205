"""The views beside the map: rates against their targets, and the pack in the sentences of policy check."""

import json
from zoneinfo import ZoneInfo

import pytest

from consumers.console.views import outlets_view, policy_view, rates_view
from deploy.explain import explain
from streams.policy.reader import load_policy
from streams.registry.records import decode_versions
from streams.registry.registry import Registry

READY = "() => window.yicheng?.state.incidents.size >= 8 && window.yicheng.fleet.count >= 10"


def row(electronic, green=None, accepted=10, **more):
    return {"accepted": accepted, "electronic_rate": electronic, "green_rate": green, **more}


def test_the_newest_day_is_shown_by_enterprise_and_the_city_by_day():
    rates = {("*", "2026-11-29"): row(1.0), ("*", "2026-11-30"): row(0.9, 0.8, locker_rate=0.1, narrow_tape_rate=0.5), ("a", "2026-11-30"): row(0.85), ("gone", "2026-11-29"): row(0.1)}
    view = rates_view(rates, load_policy("hohhot-2019"))
    assert view["date"] == "2026-11-30" and [line["enterprise_id"] for line in view["rows"]] == ["*", "a"] and [day["date"] for day in view["days"]] == ["2026-11-29", "2026-11-30"]
    assert view["rows"][1]["rates"]["electronic"] == 0.85 and view["rows"][1]["rates"]["green"] is None and view["days"][0]["rates"]["green"] is None
    targets = [measure["target"] is None for measure in view["measures"]]
    assert targets == sorted(targets) and targets[0] < targets[-1]
    electronic = next(measure for measure in view["measures"] if measure["feature"] == "electronic")
    assert electronic["target"] == 0.9 and "90%" in electronic["words"]["zh"] and electronic["en"]


def test_without_rates_or_a_pack_there_is_nothing_to_show():
    assert rates_view({}, None) == {"date": None, "measures": [], "rows": [], "days": []} and policy_view(None) is None
    assert rates_view({("*", "2026-11-30"): row(1.0)}, None)["measures"][0]["target"] is None


def test_the_register_is_as_of_now_and_strangers_are_on_no_file():
    registry, now_ms = Registry(ZoneInfo("Asia/Shanghai")), 1_790_000_000_000
    for kind, name, *versions in (
        ("outlet", "o", {"filed": False}, {"filed": True, "camera": True, "valid_from": "2026-01-01"}), ("outlet", "later", {"filed": True, "valid_from": "2030-01-01"}),
        ("facility", "h", {"level": "hub", "lon": 111.6, "lat": 40.8}), ("line", "l", {"zones": ["z"], "vehicle_ids": ["v"]}),
    ):  # fmt: skip
        registry.put(kind, name, decode_versions(json.dumps([{"kind": kind, "id": name, **version} for version in versions]).encode()))
    view = outlets_view(registry, [("x", "e"), ("o", "e")], now_ms)
    assert [(one["id"], one["filed"], one["camera"]) for one in view["outlets"]] == [("o", True, True), ("x", False, None)]
    assert [one["level"] for one in view["facilities"]] == ["hub"] and view["lines"] == [{"id": "l", "zones": ["z"], "vehicle_ids": ["v"]}]


@pytest.mark.parametrize("name", ["hohhot-2019", "hezhou-2018", "shaoxing-2019", "wulong-2019", "yunnan-2018"])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_pack_is_said_in_the_sentences_of_policy_check(name, lang):
    policy = load_policy(name)
    view, said = policy_view(policy), explain(policy, lang)
    assert all(line in said for line in view["document"][lang]) and all(target[lang] in said for target in view["targets"])
    assert [rule["id"] for rule in view["rules"]] == [rule.id for rule in policy.pack.rules]
    assert all(line in said for rule in view["rules"] for line in rule["lines"][lang])


def test_the_views_are_pages_with_addresses_in_both_languages(console, recorded_day, watch):
    demo = console("--demo", recorded_day, "--speedup", 3600)
    watched = watch(demo.url)
    page = watched.open("/?lang=zh&theme=light#view=rates")
    page.wait_for_function(READY)
    page.wait_for_selector("#view table tbody tr.city")
    assert "全市" in page.text_content("#view tr.city") and "%" in page.text_content("#view tr.city") and page.locator("main").is_hidden()
    assert page.get_attribute("[data-view=rates]", "aria-current") == "page"
    page.click("#lang")
    page.wait_for_function("() => document.querySelector('#view h2').textContent.startsWith('Rates of')")
    page.click("[data-view=outlets]")
    page.wait_for_function("() => document.querySelectorAll('#view tbody tr').length > 5 && document.querySelectorAll('#view svg.places circle').length > 5")
    assert "on file" in page.text_content("#view h2")
    page.click("[data-view=policy]")
    page.wait_for_function("() => document.querySelectorAll('#policy-panel ol > li').length >= 10")
    assert "Clause" in page.text_content("#policy-panel ol") and page.get_attribute("[data-view=policy]", "aria-current") == "page"
    page.click("[data-view=live]")
    page.wait_for_function("() => document.querySelector('#view').hidden && !document.querySelector('main').hidden")
    page.click("#list [data-incident]")
    page.wait_for_function("() => !document.querySelector('#panel').hidden")
    watched.check()
