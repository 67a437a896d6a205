"""What people read of an incident, and what masks take out of it; nothing from outside steers a chat, a mail or a terminal."""

import json
import re

import orjson
import pytest
from notices import OPENED_MS, SHANGHAI, at_ms, event

from consumers.masking import MASKED
from consumers.messages.facts import TEXT_FIELDS, TITLE_FIELDS
from consumers.messages.wording import LARGEST_DIGEST_BYTES, LONGEST_TITLE, Style, Writer, markdown
from consumers.routing.routes import REMINDER, Route, Routing, SinkConfig
from consumers.rule_names import RULE_NAMES
from consumers.sinks import open_sink
from streams.rules import RULES

LINK = "https://console.example/i/{}?s=(1)&t=2"
ZH = """\
新事件：超速，蒙A12345
车辆 蒙A12345 在环路以 48.5 公里/小时行驶
查看并答复：https://console.example/i/INCIDENT1?s=(1)&t=2
规则：超速（按违规处理）
对象：号牌 蒙A12345；车辆 V-100001；企业 ent-1
时间：2026-11-11 08:00:00–08:01:30，尚未结束（UTC+08:00）
地点：ring，111.66000, 40.81000
证据：7 条记录，最高车速 48.5公里/小时
条款：二（四）“限速四十公里”
文件：《管理办法》，呼政发〔2019〕1号
依据：文件明确要求；数值、区域或时段为示例；条文对象是驾驶人；责任单位：公安机关交通管理部门
事件编号：INCIDENT1，第 1 版"""
EN = """\
new: speeding, 蒙A12345
Vehicle 蒙A12345 (V-100001) drove 48.5 km/h on the ring road
Look at it and answer: https://console.example/i/INCIDENT1?s=(1)&t=2
Rule: speeding (a violation)
About: plate 蒙A12345; vehicle V-100001; enterprise ent-1
When: 2026-11-11 08:00:00–08:01:30, not over yet (UTC+08:00)
Where: ring, 111.66000, 40.81000
Evidence: 7 records, highest speed 48.5 km/h
Clause: 二（四） “限速四十公里”
Document: 《管理办法》, 呼政发〔2019〕1号
Basis: stated in the document; its figures, zones or hours are illustrative; the clause is addressed to drivers; responsible: 公安机关交通管理部门
Incident: INCIDENT1, revision 1"""


def written(made=None, step=0, link=LINK.format, **style):
    return Writer(SHANGHAI, link).message(made or event(), Style(**style), abs(step), unanswered=step > 0)


def forms(message):
    return message.title, message.text, message.markdown, message.body.decode()


def test_an_incident_in_each_language():
    assert written(language="zh").text == ZH and written(language="en").text == EN
    both = written()
    assert both.title == "新事件：超速 / new: speeding, 蒙A12345"
    assert both.text.splitlines()[1:] == [*ZH.splitlines()[1:], *EN.splitlines()[1:]]
    assert both.severity == "violation" and both.message_id == "INCIDENT1/1"


def test_markdown_says_the_same_with_the_link_as_one():
    lines = written(language="zh").markdown.split("\n")
    assert lines[0] == "**新事件：超速，蒙A12345**" and lines[1] == "" and all(line.endswith("  ") for line in lines[2:-1])
    assert [line.rstrip() for line in lines[2:]] == [ZH.splitlines()[1], "[查看并答复](https://console.example/i/INCIDENT1?s=%281%29&t=2)", *ZH.splitlines()[3:]]


def test_what_is_not_known_is_left_out():
    bare = event(zone_id=None, vehicle_id=None, plate=None, lon=None, lat=None, clause="", clause_text=None, document=None, document_number=None, basis=None, fix_count=0,
                 evidence=(), enterprise_id="*", severity="")  # fmt: skip
    text = written(bare, link=None).text
    assert "None" not in text and "：\n" not in text and ": \n" not in text and "查看" not in text
    assert "全部企业" in text and "all enterprises together" in text and "运营方自定" in text and "the operator's own" in text


def test_an_evidence_of_another_type_is_no_mistake():
    from consumers.incident_events import read_event

    body = json.loads(event().body)
    body["data"] |= {"evidence": [1, {"speed_kmh": "fast"}, {"speed_kmh": True}], "duty_of": ["x"], "figures": 7}
    text = written(read_event(json.dumps(body).encode())).text
    assert "证据：7 条记录\n" in text and "最高车速" not in text


def test_times_are_those_of_the_city_and_days_are_told_apart():
    over = event("closed", last_seen_ms=OPENED_MS + 86_400_000, closed_at_ms=OPENED_MS + 86_400_000)
    assert "When: 2026-11-11 08:00:00–2026-11-12 08:00:00 (UTC+08:00)" in written(over).text


@pytest.mark.parametrize(("kind", "fields", "step", "mark"), [
    ("opened", {"synthetic": True}, 0, "[演练 REHEARSAL] "), ("retracted", {}, 0, "[撤回 TAKEN BACK] "), ("retracted", {"synthetic": True}, 0, "[演练 REHEARSAL] [撤回 TAKEN BACK] "),
    ("opened", {}, 1, "[无人应答 UNANSWERED] "), ("opened", {}, REMINDER, "[确认到期 ACKNOWLEDGEMENT EXPIRED] "), ("closed", {}, 1, "[无人应答 UNANSWERED] "), ("closed", {}, -1, ""),
])  # fmt: skip
@pytest.mark.parametrize("style", [{"language": "zh"}, {"language": "en"}, {}, {"title": "{plate}"}])
def test_what_must_be_seen_first_stands_first_in_every_form(kind, fields, step, mark, style):
    """A step below 0 tells how it goes on to those of that step."""
    message = written(event(kind, **fields), step, **style)
    assert message.title.startswith(mark) and message.text.startswith(mark)
    assert message.markdown.startswith(f"**{message.title}**\n\n") and (mark or message.title[0] not in "[{")


def test_a_step_is_a_message_of_its_own_and_a_repeat_is_not():
    first, again, step = written(), written(), written(step=1)
    assert first == again and first.body == event().body
    assert step.message_id == "INCIDENT1/1/step/1" and json.loads(step.body)["id"] == step.message_id
    assert json.loads(step.body)["data"] == json.loads(first.body)["data"]


@pytest.mark.parametrize("name", TITLE_FIELDS)
def test_every_field_of_a_title_has_a_value(name):
    made = event(line_id="L-1", outlet_id="o-1")
    assert re.fullmatch(r"“.+”", written(made, title=f"“{{{name}}}”").title)


@pytest.mark.parametrize("name", TEXT_FIELDS)
def test_every_field_of_a_text_has_a_value(name):
    made = event(line_id="L-1", outlet_id="o-1", driver_id="d-1", continued_by="市局")
    assert re.fullmatch(r"“.+”", written(made, text=f"“{{{name}}}”").text.splitlines()[1])


def test_a_text_of_ones_own_stands_below_the_title_and_what_it_names_stays_on_its_line():
    message = written(event(reason_zh="甲\n**乙** [去](https://evil.example)"), text="- {reason_zh}\n{when_zh}\n{link}\n")
    title, reason, when, link = message.text.splitlines()
    assert (title, reason, link) == (message.title, "- 甲\\n**乙** [去](https://evil.example)", LINK.format("INCIDENT1")) and when.endswith("（UTC+08:00）")
    assert message.markdown.split("\n\n")[1].splitlines() == [
        "－ 甲＼n＊＊乙＊＊ ［去］（https：//evil.example）  ", f"{markdown(when)}  ", "[查看并答复 Look at it and answer](https://console.example/i/INCIDENT1?s=%281%29&t=2)",
    ]  # fmt: skip
    assert "{" not in written(text="{link}|{driver_id}", link=None).text, "what is not known is empty"


def test_a_title_is_one_line_and_not_endless():
    assert written(event(reason_zh="甲\n乙" * 500), title="{reason_zh}").title == ("甲＼n乙" * 500)[: LONGEST_TITLE - 1] + "…"


@pytest.mark.parametrize("what", MASKED)
def test_a_mask_takes_what_it_names_out_of_every_form(what):
    made = event(reason_zh="蒙A12345 与 蒙A·12345、V-100001 超速")
    message = written(made, mask=frozenset({what}))
    everything = "\n".join(forms(message))
    assert ("A12345" not in everything and "A·12345" not in everything) == (what == "plate")
    assert ("100001" not in everything) == (what == "vehicle")
    assert b"\n" not in message.body and json.loads(message.body)["data"]["incident_id"] == "INCIDENT1"
    if what == "plate":
        assert json.loads(message.body)["data"]["plate"] == "蒙A***5" and "蒙A＊＊＊5" in message.title and "蒙A***5" in message.text
    if what == "vehicle":
        assert json.loads(message.body)["subject"] == "vehicle/***01" and "V-100001" not in json.dumps(json.loads(message.body)["data"]["evidence"])


def test_a_vehicle_that_is_called_as_its_plate_is_masked_with_it():
    made = event(vehicle_id="蒙a-12345", evidence=(), reason_en="vehicle 蒙a-12345")
    assert "12345" not in "\n".join(forms(written(made, mask=frozenset({"plate"}))))


def test_a_driver_of_a_later_version_is_masked():
    from consumers.incident_events import read_event

    body = json.loads(event(reason_zh="张三丰 超速").body)
    body["data"] |= {"driver_id": "D-777777", "driver_name": "张三丰", "more": [{"driver_id": "D-777777"}]}
    made = read_event(json.dumps(body, ensure_ascii=False).encode())
    everything = "\n".join(forms(written(made, mask=frozenset({"driver"}))))
    assert "D-777777" not in everything and "张三丰" not in everything and "蒙A12345" in everything


def test_a_short_id_does_not_maul_what_only_contains_it():
    message = written(event(vehicle_id="7", evidence=(), reason_en="vehicle 7 at 17:07 with 77 parcels"), mask=frozenset({"vehicle"}))
    assert json.loads(message.body)["data"]["reason_en"] == "vehicle *** at 17:07 with 77 parcels"


ATTACKS = [
    "[click](https://evil.example)", "![x](https://evil.example/x.png)", "**bold**", "`code`", "<@all>", "<font color=red>", "# head", "a|b", "~~no~~", "@all", "_em_", "\\*",
    "https://evil.example", "- item", "12. item", "> quote", "===", "&lt;b&gt;", "<https://evil.example>", "$x$",
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_from_outside_is_markdown(attack):
    """The only live characters of a message are those of its own first line and link."""
    message = written(event(reason_zh=attack, reason_en=attack, plate=attack, zone_id=attack, clause_text=attack, responsible=(attack,), document=attack))
    first, *lines = message.markdown.split("\n")
    own = [first[2:-2], *(line for line in lines if not re.fullmatch(r"\[(查看并答复|Look at it and answer)\]\(https://console\.example/[^()\s]*\)\s*", line))]
    assert first[2:-2] == message.title
    assert first.startswith("**") and first.endswith("**") and len(own) == len(lines) - 1
    for line in own:
        assert not set(line) & set("*`_[]<>#|~!\\@&$"), line
        assert "https://" not in line and not re.match(r"\s*([-+=]|\d+[.)]\s)", line), line


@pytest.mark.parametrize("attack", ["a\nb", "a\r\nBcc: x@evil.example", "\x1b[2J", "\u202eabc", "a\u2028b", "\x00"])
def test_nothing_from_outside_begins_a_line_or_steers_a_terminal(attack):
    count = [len(form.splitlines()) for form in forms(written())[1:3]]
    message = written(event(reason_zh=attack, reason_en=attack, plate=attack, zone_id=attack, document=attack))
    assert message.title.isprintable() and [len(form.splitlines()) for form in forms(message)[1:3]] == count
    assert all(line.isprintable() for form in (message.text, message.markdown) for line in form.split("\n"))


def test_a_link_cannot_be_left_by_its_address():
    assert "(https://x/a%29%5Bb%5D%28https://evil.example%29%20c)  \n" in written(link=lambda *_: "https://x/a)[b](https://evil.example) c").markdown


def test_a_template_is_no_program_of_whoever_reports():
    text = written(event(reason_zh="{{ 7*7 }}{% raw %}", plate="{plate.__class__}")).text
    assert "{{ 7*7 }}{% raw %}" in text and "49" not in text and "{plate.__class__}" in text


def routing(link=LINK.format, **style):
    return Routing({"duty": SinkConfig("file", {})}, [Route(name="r", to=("duty",), style=Style(**style))], link=link)


def messages(*made, **style):
    return [routing(**style).message(each, "r", 0) for each in made]


def test_a_digest_says_how_many_by_rule_and_lists_its_events():
    made = messages(event(), event("closed", revision=2), event(incident_id="I2"), event(incident_id="I3", rule="forbidden_stop"))
    digest = routing().digest(made, "r", at_ms("2026-11-12T08:00"))
    assert digest.title == "3 起事件：超速 2、违规停车 1 / 3 incidents: speeding 2, forbidden stop 1"
    assert digest.text.splitlines() == [digest.title, *(f"• {each.title} 查看 view：{each.link}" for each in made)] and digest.severity == "violation"
    assert all(each.link and f"[查看 view]({each.link.replace('(1)', '%281%29')})" in digest.markdown for each in made)
    unlinked = [routing(link=None).message(event(), "r", 0)] * 2
    assert routing().digest(unlinked, "r", 1).text.splitlines()[1] == f"• {unlinked[0].title} · INCIDENT1/1"
    body = json.loads(digest.body)
    assert (body["type"], body["id"], body["time"], body["specversion"]) == ("yicheng.digest.v1", digest.message_id, "2026-11-12T00:00:00.000Z", "1.0")
    assert body["data"] == {"route": "r", "count": 4, "by_rule": {"speeding": 2, "forbidden_stop": 1}, "events": [json.loads(each.body) for each in made], "further": []}
    assert b"\n" not in digest.body


def test_a_digest_says_that_more_follow_in_its_languages():
    made = messages(event(), event(incident_id="I2"))
    assert routing().digest(made, "r", 1, 7).text.splitlines()[-1] == "还有至少 7 条，随后发送。 At least 7 more follow."
    assert routing(language="en").digest(made, "r", 1, 7).markdown.splitlines()[-1] == "At least 7 more follow."


def test_a_digest_is_the_same_on_every_repeat_and_another_for_others():
    made = messages(event(), event(incident_id="I2"))
    one, again, other = (routing().digest(given, "r", now_ms) for given, now_ms in ((made, 1), (made, 2), (made[:1], 1)))
    assert one.message_id == again.message_id != other.message_id and re.fullmatch(r"[A-Za-z0-9._/:-]{1,200}", one.message_id)


def test_a_digest_of_rehearsals_says_so_and_each_line_of_others_does():
    rehearsed = messages(event(synthetic=True))
    assert routing().digest(rehearsed, "r", 1).title.startswith("[演练 REHEARSAL] ")
    mixed = routing().digest([*rehearsed, *messages(event(incident_id="I2"))], "r", 1)
    assert not mixed.title.startswith("[演练") and "• [演练 REHEARSAL] " in mixed.text


def test_a_large_digest_loses_nothing():
    made = messages(*(event(incident_id=f"I{number}", reason_zh="甲" * 8_000) for number in range(60)))
    digest = routing().digest(made, "r", 1)
    data = json.loads(digest.body)["data"]
    assert len(digest.body) < LARGEST_DIGEST_BYTES + 50_000 and data["count"] == 60 and 20 < len(data["events"]) < 60
    assert [each["id"] for each in data["events"]] + data["further"] == [each.message_id for each in made]
    assert len(digest.text.splitlines()) == 61 and all(f"I{number}" in digest.text for number in range(60))


@pytest.mark.parametrize(("kind", "options"), [("wecom", {"key": "k"}), ("dingtalk", {"access_token": "k"}), ("feishu", {"token": "k"})])
def test_a_robot_says_whether_it_has_room_for_all_lines_of_a_digest(kind, options):
    sink = open_sink(kind, "robot", options)
    made = messages(*(event(incident_id=f"I{number}") for number in range(200)))
    fitting = 0
    for number in range(2, 200):
        digest = routing().digest(made[:number], "r", 1)
        left_out = "未列出" in orjson.dumps(sink.content(digest, 1.0)).decode()
        assert sink.fits(digest) == (not left_out), number
        fitting = number if sink.fits(digest) else fitting
    sink.close()
    assert {"wecom": 5, "dingtalk": 30, "feishu": 30}[kind] < fitting < 199


def test_a_masked_digest_is_masked():
    digest = routing(mask=frozenset({"plate"})).digest(messages(event(), mask=frozenset({"plate"})), "r", 1)
    assert "A12345" not in "\n".join(forms(digest))


def test_a_route_that_is_gone_masks_as_strictly_as_any():
    several = Routing({}, [Route(name="a", to=(), style=Style(mask=frozenset({"plate"}))), Route(name="b", to=(), style=Style(mask=frozenset({"vehicle"})))])
    everything = "\n".join(forms(several.message(event(), "gone", 0)))
    assert "A12345" not in everything and "100001" not in everything
    assert "A12345" in several.message(event(), "b", 0).text


def test_a_test_message_says_that_it_is_one():
    message = Writer(SHANGHAI).test("duty", OPENED_MS)
    assert all("测试" in form and "TEST" in form for form in (message.title, message.text, message.markdown))
    assert json.loads(message.body)["type"] == "yicheng.test.v1" and "2026-11-11 08:00:00" in message.text


def test_rules_are_called_as_the_rules_themselves_say():
    assert {name: words.zh for name, words in RULE_NAMES.items()} == {name: module.TITLE_ZH for name, module in RULES.items()}


def test_markdown_of_any_text_has_no_live_character():
    assert not set(markdown("".join(map(chr, range(32, 127))))) & set("*`_[]()<>#|~!\\@&$^{}")


def test_an_enterprise_s_own_notice_has_a_link_by_which_it_can_only_object():
    asked = []
    message = written(link=lambda *given: asked.append(given) or "https://x/i", audience="enterprise")
    assert asked == [("INCIDENT1", "enterprise", frozenset())] and "Look at it; an objection is made there, until the day that it says: https://x/i" in message.text
    assert "查看；如有异议，可在该页面所示期限内申诉：https://x/i" in message.text and "查看并答复" not in message.text
    assert "[查看；如有异议，可在该页面所示期限内申诉 Look" in written(link=lambda *_: "https://x/i", audience="enterprise", text="{link}").markdown
