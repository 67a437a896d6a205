"""What packs claim of their documents: no more than these say, word for word, and incidents say the same."""

import datetime as dt
import json
import re
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from consumers.console.city.figures import claims
from deploy.commands.policy import app
from deploy.judge import judge_files
from deploy.packs.explain import explain, rule_table
from deploy.report.content import Published, gather
from streams.errors import BadInput
from streams.policy.claims import exemptions, figure_clauses, misquotes
from streams.policy.clauses import plain, stands_in
from streams.policy.policy import Policies
from streams.policy.reader import decode_policy, load_policy, packs, parse_policy
from streams.policy.wording import demand_words
from streams.registry.records import decode_entry
from streams.registry.registry import Registry
from streams.rules import RULES
from streams.words.basis import in_language

ROAD_SEGMENTS = "根据不同路段确定允许临时停车时段、时长、车辆类型"
AUTHORITY = {"authority"}
MAY_BE_STATED = {
    "hohhot-2019": {"unregistered_vehicle": AUTHORITY, "unmarked_vehicle": AUTHORITY, "untrained_driver": None, "unfiled_outlet": None, "interrupted_feed": None},
    "hezhou-2018": {"blacklisted_enterprise": None},
    "shaoxing-2019": {"unverified_sender": None, "unfiled_outlet": None, "unmonitored_outlet": AUTHORITY, "offline_camera": AUTHORITY},
    "yunnan-2018": {"unverified_sender": None, "unfiled_outlet": None, "interrupted_feed": None, "blacklisted_enterprise": None},
    "wulong-2019": {
        "unregistered_vehicle": AUTHORITY, "unmarked_vehicle": AUTHORITY, "unfiled_outlet": None, "interrupted_feed": None, "unverified_sender": None,
        "uninspected_parcel": None, "unscreened_parcel": None, "blacklisted_enterprise": None,
    },
}  # fmt: skip
"""Rules that a document states, and whom its words must then be said to bind (None: not said here)."""
NEVER_ASKED_FOR = {
    "restricted_hours", "outside_operating_area", "speeding", "cloned_identifier", "malformed_identifier", "overstayed_stop", "silent_vehicle", "unlicensed_enterprise",
}  # fmt: skip
FRAME = """
policy: p
city: {adcode: "430100", name_zh: 甲, name_en: A, timezone: Asia/Shanghai}
document: {title: 办法, number: 甲〔2026〕1号, file: f.txt}
valid_from: 2026-01-01
rules:
  - rule: unregistered_vehicle
    id: r
    clause: 一
    severity: warning
"""
CLAIM = "    basis: stated\n    quote: 实施统一编号\n    duty_of: authority\n    responsible: [市公安局]\n"
IN_FORCE = "file: f.txt, in_force: {from: 2026-01-01, until: 2026-06-30}"


HEAD = "办法（甲〔2026〕1号），市公安局负责。\n"


def parse(text, where="pack.yaml", documents=None):
    return parse_policy(text, where, None, documents)


# --- what is refused


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (FRAME + CLAIM.replace("stated", "statd"), 11, "basis: invalid enum value 'statd'; did you mean 'stated'?"),
        (FRAME + CLAIM.replace("of: authority", "of: autority"), 13, "did you mean 'authority'?"),
        (FRAME + CLAIM + "    figures: 90\n", 15, "figures: invalid enum value '90'"),
        (FRAME + CLAIM.replace("    quote: 实施统一编号\n", ""), 11, "rule r: basis stated needs quote"),
        (FRAME + CLAIM.replace("    duty_of: authority\n", ""), 11, "rule r: basis stated needs duty_of"),
        (FRAME.replace("clause: 一", 'clause: ""') + CLAIM.replace("stated", "encouraged"), 11, "rule r: basis encouraged needs clause"),
        (FRAME + CLAIM + "    illustrative: true\n", 11, "basis stated and illustrative: true contradict each other"),
        (FRAME + CLAIM.replace("stated", "illustrative") + "    illustrative: false\n", 11, "basis illustrative and illustrative: false contradict each other"),
        (FRAME + "    exempt: {energy: [electric], basis: stated}\n", 11, "rule r: exempt: basis stated needs quote"),
        (FRAME.replace("file: f.txt", IN_FORCE), 4, "in force until 2026-06-30 and the pack is valid without end; end it with valid_until, or say who goes on and why: continued"),
        (FRAME.replace("file: f.txt", IN_FORCE).replace("valid_from", "valid_until: 2026-07-01\nvalid_from"), 4, "the pack is valid until 2026-07-01"),
        (FRAME.replace("file: f.txt", IN_FORCE).replace("valid_from", "continued: {by: 市公安局}\nvalid_from"), 5, "key 'reason' is missing"),
        (FRAME.replace("valid_from", "continued: {by: a, reason: b}\nvalid_from"), 5, "the document has no end"),
        (FRAME.replace("file: f.txt", IN_FORCE.replace("2026-01-01", "2026-07-01")), 4, "in_force: until 2026-06-30 is before from 2026-07-01"),
        (FRAME.replace("file: f.txt", "file: f.txt, published: 2026-13"), 4, "date '2026-13' is not YYYY, YYYY-MM or YYYY-MM-DD"),
        (FRAME.replace("file: f.txt", "file: f.txt, assumed: [title]"), 4, "'title'"),
    ],
)  # fmt: skip
def test_what_a_pack_may_not_claim_is_one_line(text, line, message):
    with pytest.raises(BadInput) as caught:
        parse(text)
    said = str(caught.value)
    assert message in said and said.startswith(f"pack.yaml:{line}: ") and "\n" not in said


@pytest.mark.parametrize(
    "text",
    [
        FRAME + CLAIM,
        FRAME + CLAIM + "    illustrative: false\n",
        FRAME + CLAIM.replace("stated", "illustrative") + "    illustrative: true\n",
        FRAME + "    basis: illustrative\n",
        FRAME.replace("file: f.txt", IN_FORCE).replace("valid_from", "valid_until: 2026-06-30\nvalid_from"),
        FRAME.replace("file: f.txt", IN_FORCE).replace("valid_from", "continued: {by: 市公安局, reason: 修订中}\nvalid_from"),
        FRAME.replace("number: 甲〔2026〕1号, ", "").replace("file: f.txt", "file: f.txt, published: 2026, assumed: [published]"),
    ],
)
def test_what_a_pack_may_claim(text):
    parse(text)


def test_packs_of_before_keep_their_meaning():
    (policy,) = decode_policy(json.dumps([{"yaml": FRAME + "    illustrative: true\n"}]).encode())
    assert policy.pack.rules[0].basis == "illustrative"
    (rule,) = parse(FRAME + "    quote: 随便\n").pack.rules
    assert (rule.basis, rule.figures, rule.duty_of, rule.responsible) == (None, None, None, [])
    assert "Basis:" not in explain(parse(FRAME)) and "nothing is claimed of the document" in explain(parse(FRAME))


# --- quotes


@pytest.mark.parametrize(
    ("quote", "stands"),
    [
        ("实施统一编号", True),
        ("实 施 统一编号，GPS（快递）", True),
        ("对车辆实施……GPS(快递)", True),
        ("实施统一标识", False),
        ("GPS(快递)……对车辆实施", False),
    ],
)
def test_a_quote_must_stand_in_the_document_where_that_is_at_hand(quote, stands, tmp_path):
    text = FRAME + CLAIM.replace("实施统一编号", quote)
    (tmp_path / "f.txt").write_text(HEAD + "对车辆实施统一\n  编号, GPS (快递)。", "utf-8")
    (tmp_path / "pack.yaml").write_text(text, "utf-8")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "pack.yaml").write_text(text, "utf-8")
    beside, given, nowhere = (
        CliRunner().invoke(app, ["check", *arguments])
        for arguments in ([f"{tmp_path}/pack.yaml"], [f"{tmp_path}/elsewhere/pack.yaml", "--documents", str(tmp_path)], [f"{tmp_path}/elsewhere/pack.yaml"])
    )
    for result in (beside, given):
        assert (result.exception is None) is stands
        if not stands:
            assert isinstance(result.exception, BadInput)
            assert str(result.exception).endswith(f"pack.yaml:12: rule r: “{quote}” is not in f.txt")
    assert nowhere.exception is None and "f.txt is not at hand" in nowhere.output


def test_the_quote_of_an_exemption_must_stand_there_too(tmp_path):
    (tmp_path / "f.txt").write_text(HEAD + "给予通行便利", "utf-8")
    right = FRAME + "    exempt: {energy: [electric], basis: encouraged, quote: 通行便利}\n"
    parse(right, documents=tmp_path)
    with pytest.raises(BadInput, match=r"pack.yaml:11: rule r: “通行便捷” is not in f.txt"):
        parse(right.replace("便利", "便捷"), documents=tmp_path)


@pytest.mark.parametrize(
    ("of", "to", "line", "problem"),
    [
        ("quote: 实施统一编号", "quote: ……", 12, "rule r: “……” quotes too little: each part has at least 4 of the document's characters"),
        ("quote: 实施统一编号", "quote: 。", 12, "quotes too little"),
        ("quote: 实施统一编号", "quote: 实施……实施统一编号", 12, "quotes too little"),
        ("title: 办法", "title: 另一办法", 4, "document: title “另一办法” is not in f.txt"),
        ("title: 办法", 'title: " "', 4, "document: title is blank; leave it out where the document says nothing"),
        ("甲〔2026〕1号", "甲〔2026〕2号", 4, "document: number “甲〔2026〕2号” is not in f.txt"),
        ("[市公安局]", "[市公安局, 火星管理局]", 14, "rule r: responsible “火星管理局” is not in f.txt"),
        ("[市公安局]", '[""]', 14, "rule r: responsible is blank"),
        ("[市公安局]", "[市公安局]\n    stands_in_for: 月球办法", 15, "rule r: stands_in_for “月球办法” is not in f.txt"),
        ("clause: 一", 'clause: " "', 11, "rule r: basis stated needs clause"),
        ("quote: 实施统一编号", 'quote: " "', 11, "rule r: basis stated needs quote"),
    ],
)
def test_what_quotes_nothing_or_nobody_is_refused(of, to, line, problem, tmp_path):
    (tmp_path / "f.txt").write_text(HEAD + "一、实施统一编号。", "utf-8")
    right = FRAME + CLAIM
    assert parse(right, documents=tmp_path).warnings == () and right.count(of) == 1
    with pytest.raises(BadInput) as caught:
        parse(right.replace(of, to), documents=tmp_path)
    assert str(caught.value).startswith(f"pack.yaml:{line}: ") and problem in str(caught.value)


def test_a_quote_under_another_clause_is_warned_of(tmp_path):
    (tmp_path / "f.txt").write_text(HEAD + "一、总则\n二、车辆\n（一）实施统一编号。", "utf-8")
    assert parse(FRAME + CLAIM, documents=tmp_path).warnings == ("rule r: “实施统一编号” stands under 二（一）, not under 一",)
    assert parse((FRAME + CLAIM).replace("clause: 一", "clause: 二"), documents=tmp_path).warnings == ()


@pytest.mark.parametrize(("pack", "problem"), [(FRAME + CLAIM, "“实施统一编号” is not in f.txt"), (FRAME.replace("clause: 一", "clause: 待填"), "pack.yaml:9: 待填 is still to be filled in")])
def test_what_is_not_in_its_document_or_not_filled_in_is_not_published(pack, problem, tmp_path):
    (tmp_path / "f.txt").write_text(HEAD, "utf-8")
    (tmp_path / "pack.yaml").write_text(pack, "utf-8")
    result = CliRunner().invoke(app, ["publish", f"{tmp_path}/pack.yaml"])
    assert isinstance(result.exception, BadInput) and problem in str(result.exception)


def test_a_document_that_is_asked_for_must_be_there(tmp_path):
    with pytest.raises(BadInput, match=r"pack.yaml:4: the document f.txt cannot be read in .*no such file"):
        parse(FRAME, documents=tmp_path)


# --- the packs that come along, and their documents


class Section(NamedTuple):
    """A clause of a document, as packs name it, and its plain text."""

    clause: str
    text: str


LEVELS = [r"#* *([一二三四五六七八九十]+|\d+)、", r"#* *[（(]([一二三四五六七八九十]+)[）)]", r"(\d+)[.．]"]
NUMERALS = "〇一二三四五六七八九"


def sections(text):
    """A document clause by clause, as packs name these: ``二（三）9``."""
    path, found = [""], [Section("", "")]
    for line in text.partition("\n附件\n")[0].splitlines():
        for level, pattern in enumerate(LEVELS):
            if heading := re.match(rf"\s*{pattern}", line):
                number = NUMERALS[int(heading[1])] if level == 0 and heading[1].isdigit() else heading[1]
                path = [*path[:level], *[""] * (level - len(path)), f"（{number}）" if level == 1 else number]
                found.append(Section("".join(path), ""))
        found[-1] = found[-1]._replace(text=found[-1].text + plain(line))
    return found


def authorities_after(text):
    """The authorities in the first bracket of a text that names some; empty: there is none."""
    bracket = re.search(r"\(([^()]*(?:\([^()]*\)[^()]*)*?)负责\)|〔([^〕]*)〕|<([^>]*)>|\(牵头单位:([^)]*)\)", text)
    if bracket is None:
        return []
    inside = next(filter(None, bracket.groups()))
    inside = re.sub("责任单位:|。排在第一位.*|,列第一位.*", "", inside).replace("会同", "、")
    inside = re.sub("州、市人民政府", "州|市人民政府", inside).replace("各区、县", "各区|县")
    return [name.replace("|", "、") for name in re.split("[,;、]", inside)]


@pytest.fixture(params=packs())
def documented(request, shared):
    """A pack that comes along, and its document."""
    folder = shared / "seeds"
    if not folder.exists():
        pytest.skip("no ../shared/seeds beside the checkout: the cities' documents are read from there")
    policy = load_policy(request.param, folder)
    assert policy.warnings == ()
    pack = policy.pack
    return pack, (folder / pack.document.file).read_text("utf-8")


def test_a_pack_quotes_its_document_clause_and_authorities(documented):
    pack, document = documented
    assert plain(pack.document.title) in plain(document) and plain(pack.document.number or "") in plain(document)
    clauses = sections(document)
    for rule in pack.rules:
        said = [rule.quote] + [exemption.quote for _, exemption in exemptions(rule)]
        assert all(said), rule.id
        for quote in said:
            pattern = ".*?".join(re.escape(plain(part)) for part in quote.split("……"))
            places = [re.search(pattern, section.text) for section in clauses if section.clause == rule.clause]
            assert len(places) == 1 and places[0], f"{rule.id}: “{quote}” is not in {rule.clause}"
            text = next(section.text for section in clauses if section.clause == rule.clause)
            if quote == rule.quote:
                assert [plain(name) for name in rule.responsible] == authorities_after(text[places[0].end() :]), rule.id


def test_the_documents_were_taken_apart(documented):
    """The test above could not fail otherwise."""
    pack, document = documented
    clauses = {section.clause: section.text for section in sections(document)}
    assert len(clauses) >= 10 and {rule.clause for rule in pack.rules} <= clauses.keys()
    first = {
        "hohhot-2019": ("三（十一）", ["市公安局", "交通运输局"]), "hezhou-2018": ("二（三）10", ["各县(区)人民政府", "市公安局", "交通运输局", "邮政管理局"]),
        "shaoxing-2019": ("七", ["市公安局", "市邮政管理局", "各区、县(市)政府"]), "yunnan-2018": ("三（十一）", ["省公安厅", "交通运输厅", "省邮政管理局", "各州、市人民政府"]),
        "wulong-2019": ("二（二）1", ["区交通局", "区公安局", "重庆市邮政管理局第三分局"]),
    }  # fmt: skip
    clause, names = first[pack.policy]
    assert authorities_after(clauses[clause]) == names


@pytest.mark.parametrize("name", packs())
def test_a_pack_claims_no_more_than_its_document_says(name):
    for rule in load_policy(name).pack.rules:
        assert rule.basis and rule.duty_of and rule.illustrative is None, rule.id
        if rule.quote == ROAD_SEGMENTS:  # the one sentence that has the authorities set hours, times and classes of vehicles
            assert (name, rule.basis, rule.figures, rule.duty_of) == ("yunnan-2018", "stated", "illustrative", "authority"), rule.id
        elif rule.basis == "stated":
            assert rule.rule in MAY_BE_STATED[name], rule.id
            assert rule.duty_of in (MAY_BE_STATED[name][rule.rule] or {rule.duty_of}), rule.id
        else:
            assert rule.rule not in MAY_BE_STATED[name], f"{rule.id} may be stated"
        if rule.rule in NEVER_ASKED_FOR and rule.quote != ROAD_SEGMENTS:
            assert rule.basis == "illustrative", rule.id
        if rule.rule in {"nonstandard_vehicle", "low_electronic_waybill_rate", "low_green_packaging_rate"}:
            assert rule.basis == "encouraged", rule.id
        assert all(exemption.basis for _, exemption in exemptions(rule)), rule.id


def test_numbers_and_insurance_are_claimed_where_the_document_speaks_of_them():
    basis = {(name, rule.rule): rule.basis for name in packs() for rule in load_policy(name).pack.rules}
    for rule in ("unregistered_vehicle", "unmarked_vehicle", "malformed_identifier", "cloned_identifier"):
        assert basis["shaoxing-2019", rule] == "illustrative", rule
    insured = {name: found for (name, rule), found in basis.items() if rule == "uninsured_driver"}
    assert insured == {**dict.fromkeys(packs(), "encouraged"), "wulong-2019": "illustrative"}
    trained = {name: found for (name, rule), found in basis.items() if rule == "untrained_driver"}
    assert trained == {"hohhot-2019": "stated", "hezhou-2018": "encouraged", "shaoxing-2019": "encouraged", "yunnan-2018": "encouraged"}
    assert (basis["yunnan-2018", "unrecognised_foreign_plate"], basis["yunnan-2018", "offline_camera"], basis["wulong-2019", "forbidden_stop"]) == ("encouraged", "encouraged", "illustrative")


def test_whose_rules_a_pack_stands_in_for():
    found = {(name, rule.id): rule.stands_in_for for name in packs() for rule in load_policy(name).pack.rules if rule.stands_in_for}
    assert set(found) == {("hohhot-2019", "core-daytime"), ("yunnan-2018", "kunming-core"), *((name, rule) for name in ("hohhot-2019", "wulong-2019") for rule in ("number-on-file", "unified-marking"))}
    assert "The document tells the authorities to make rules (《快递服务车辆管理办法》); the pack stands in for them by way of example, without their force." in explain(load_policy("wulong-2019"))


def test_the_documents_dates_are_facts_and_what_is_assumed_says_so():
    documents = {name: load_policy(name).pack.document for name in packs()}
    published = {name: (document.published, document.assumed) for name, document in documents.items()}
    assert published == {
        "hohhot-2019": (None, ["in_force"]), "hezhou-2018": ("2018", ["published"]), "shaoxing-2019": ("2019", ["published"]),
        "yunnan-2018": ("2018-07-11", ["in_force"]), "wulong-2019": ("2019-07-15", ["in_force"]),
    }  # fmt: skip
    hohhot = documents["hohhot-2019"].in_force
    assert (hohhot.from_, hohhot.until) == ("2019-07-01", "2024-06-30") and all(document.source for document in documents.values())
    assert "自2019年7月1日起施行，至2024年6月30日止（推定）" in explain(load_policy("hohhot-2019"), "zh") and "goes on being applied after its end" in explain(load_policy("hohhot-2019"))
    assert "Published 2018 (assumed)" in explain(load_policy("hezhou-2018")) and "2018年公布（推定）" in explain(load_policy("hezhou-2018"), "zh")


def test_a_pack_in_words_says_on_what_each_rule_rests():
    zh, en = (explain(load_policy("hohhot-2019"), lang).split(mark, 1)[1].split("\n\n")[0] for lang, mark in (("zh", "〔feeds〕"), ("en", "[feeds]")))
    assert "条款：二（八），原文：“建立数据中断等风险评估、提前通知和事先报告制度”。" in zh
    assert "依据：文件明确要求；本包的理解：原文要求建立提前通知和事先报告制度，本包按企业数据中断而未事先通知判定；时限和时段由本包所定；条文对象是企业。" in zh and "责任单位：市邮政管理局、商务局、相关部门。" in zh
    assert "Basis: stated in the document; as read here: the words ask that a system of prior notice and report be set up; it is judged by the data of an enterprise that stop without notice, and the times are set here; the clause is addressed to enterprises." in en
    assert "Responsible: 市邮政管理局, 商务局, 相关部门." in en
    assert "the document names none" in explain(load_policy("wulong-2019")).split("[outlets-on-file]", 1)[1].split("\n\n")[0]


# --- incidents


CITY = """
policy: p
city: {adcode: "430100", name_zh: 甲, name_en: A, timezone: Asia/Shanghai}
document: {title: 办法, number: 甲〔2026〕1号, file: f.txt}
valid_from: 2026-01-01
rules:
"""
KINDS = {
    "vehicle": "rule: unregistered_vehicle",
    "day": "rule: low_electronic_waybill_rate, target: 0.9, min_sample: 1",
    "finding": "rule: unfiled_outlet",
    "interval": "rule: interrupted_feed, limit: 2h",
}
CLAIMED = {
    "lead": "市邮政管理局", "reading": "逐日判定 (judged by the day)",
    "clause_text": "实施统一编号", "document": "办法", "document_number": "甲〔2026〕1号", "basis": "stated", "figures": "illustrative", "duty_of": "enterprise",
    "responsible": ["市邮政管理局", "商务局"], "stands_in_for": "车辆管理办法",
}  # fmt: skip
UNCLAIMED = {**dict.fromkeys(CLAIMED), "document": "办法", "document_number": "甲〔2026〕1号", "responsible": []}


@pytest.mark.parametrize(
    ("claim", "expected"),
    [("basis: stated, figures: illustrative, quote: 实施统一编号, reading: 逐日判定 (judged by the day), duty_of: enterprise, responsible: [市邮政管理局, 商务局], stands_in_for: 车辆管理办法", CLAIMED), ("", UNCLAIMED)],
    ids=["claimed", "nothing claimed"],
)
def test_incidents_of_every_kind_say_on_what_they_rest(claim, expected, tmp_path):
    rules = [f"  - {{{rule}, id: {kind}, clause: 一, severity: warning{claim and ', '}{claim}}}\n" for kind, rule in KINDS.items()]
    policy = parse(CITY.replace("f.txt}", "f.txt, lead_first: true}") + "".join(rules))
    registry = Registry(policy.timezone)
    registry.add([decode_entry(b'{"kind": "enterprise", "id": "e"}')])
    noon = int(dt.datetime(2026, 6, 26, 12, tzinfo=policy.timezone).timestamp() * 1000)
    scans = [
        {"event_id": str(hours), "event_time_ms": noon + hours * 3_600_000, "waybill_id": f"w{hours}", "enterprise_id": "e", "city": "430100", "kind": "accepted", "outlet_id": "o", "waybill_kind": "paper"}
        for hours in (0, 6, 48)
    ]  # fmt: skip
    (tmp_path / "scans.jsonl").write_text("".join(json.dumps(scan) + "\n" for scan in scans), "utf-8")
    (tmp_path / "fixes.jsonl").write_text(json.dumps({"event_id": "1", "event_time_ms": noon, "vehicle_id": "v", "lon": 111.66, "lat": 40.81}) + "\n", "utf-8")
    judge_files(policy, registry, [str(tmp_path / "fixes.jsonl")], [str(tmp_path / "scans.jsonl")], tmp_path / "out")
    rows = [json.loads(line) for line in (tmp_path / "out" / "incidents.jsonl").read_text("utf-8").splitlines()]
    assert {row["rule_id"] for row in rows} == set(KINDS)
    for row in rows:
        assert {key: row[key] for key in expected} == expected, row["rule_id"]


def test_of_a_rule_that_was_withdrawn_nothing_is_claimed():
    from streams.city.incident_data import _claims

    policies = Policies([parse(FRAME + CLAIM)])
    policy, rule = policies.rule("gone", "unregistered_vehicle", 1_790_000_000_000)
    assert _claims(rule, policy) == {**dict.fromkeys(CLAIMED), "responsible": ()}


def test_the_table_of_rules_tells_demands_from_the_rest():
    rows = {row.split("`")[1]: row.split(" | ") for row in rule_table().splitlines() if "`" in row}
    assert rows["unregistered_vehicle"][2:] == ["二（三）9+", "三（十）", "五°", "二（二）1", "三（十）+ |"]
    assert rule_table(chinese=True).endswith("+: 文件鼓励或引导，并非强制; °: 示例，文件未作此要求")


@pytest.mark.parametrize(("until", "by"), [("2026-06-25", "the city"), ("2026-06-26", None)])
def test_incidents_after_the_end_of_the_document_say_who_goes_on(until, by, tmp_path):
    frame = CITY.replace("file: f.txt}", f"file: f.txt, in_force: {{from: 2021-06-26, until: {until}}}}}").replace("rules:", "continued: {by: the city, reason: no successor}\nrules:")
    policy = parse(frame + "  - {rule: unregistered_vehicle, id: r, clause: 一, severity: warning}\n")
    noon = int(dt.datetime(2026, 6, 26, 12, tzinfo=policy.timezone).timestamp() * 1000)
    (tmp_path / "fixes.jsonl").write_text(json.dumps({"event_id": "1", "event_time_ms": noon, "vehicle_id": "v", "lon": 111.66, "lat": 40.81}) + "\n", "utf-8")
    judge_files(policy, Registry(policy.timezone), [str(tmp_path / "fixes.jsonl")], [], tmp_path / "out")
    rows = [json.loads(line) for line in (tmp_path / "out" / "incidents.jsonl").read_text("utf-8").splitlines()]
    assert [row["continued_by"] for row in rows] == [by]


def test_who_leads_is_said_where_the_document_says_it():
    leads = {name: {policy.pack.document.lead_of(rule.responsible) for rule in policy.pack.rules} for name in packs() for policy in [load_policy(name)]}
    assert leads["hohhot-2019"] == leads["yunnan-2018"] == {None} and leads["hezhou-2018"] == {"各县（区）人民政府", "市邮政管理局"}
    assert leads["shaoxing-2019"] == {"市邮政管理局", "市公安局"} and {"区交通局", "区公安局", None} <= leads["wulong-2019"]
    wulong = load_policy("wulong-2019")
    assert "牵头单位：区交通局；责任单位：区公安局、重庆市邮政管理局第三分局。" in explain(wulong, "zh") and "Lead: 区交通局; responsible: 区公安局, 重庆市邮政管理局第三分局." in explain(wulong)


def test_a_ledger_that_the_document_asks_for_counts_nothing_that_it_only_encourages():
    for name in packs():
        pack = load_policy(name).pack
        bases = {rule.rule: rule.basis for rule in pack.rules}
        for rule in pack.rules:
            if rule.rule == "blacklisted_enterprise" and rule.basis == "stated":
                counted = {*rule.parameters.points, *(rule.parameters.drivers.points if rule.parameters.drivers else ())}
                assert "encouraged" not in {bases[each] for each in counted}, name
                assert rule.reading or {bases[each] for each in counted} == {"stated"}, name  # what is illustrative is said to be our reading


@pytest.mark.parametrize(
    ("words", "duty"),
    [
        ("备案管理", "enterprise"), ("提前通知和事先报告制度", "enterprise"), ("实名", "enterprise"), ("购买交通意外险", "enterprise"), ("统一编号", "authority"), ("交通安全教育", "authority"),
        ("分时", "authority"), ("视频监控系统", "authority"), ("监控视频系统", "authority"), ("培训制度", "enterprise"), ("三项制度", "enterprise"),
    ],
)  # fmt: skip
def test_the_same_words_bind_the_same_in_every_pack(words, duty):
    found = {rule.duty_of for name in packs() for rule in load_policy(name).pack.rules if words in rule.quote}
    assert found == {duty}


READ = {
    "hohhot-2019": {"electronic-waybill-90", "feeds", "outlets-on-file"}, "hezhou-2018": {"served_parcels", "outlets-on-file"},
    "shaoxing-2019": {"real-names", "outlets-on-file"}, "yunnan-2018": {"mutual-recognition", "feeds", "outlets-on-file", "real-names"},
    "wulong-2019": {"real-names", "parcels-inspected", "parcels-screened", "pickup_point_coverage", "feeds", "outlets-on-file", "temporary-bays"},
}  # fmt: skip


@pytest.mark.parametrize("name", packs())
def test_what_the_words_do_not_spell_out_is_said_in_both_languages(name):
    policy = load_policy(name)
    readings = {rule.id: rule.reading for rule in policy.pack.rules if rule.reading} | {measure: target.reading for measure, target in policy.pack.targets.items() if target.reading}
    assert readings.keys() >= READ.get(name, set())
    zh, en = explain(policy, "zh"), explain(policy)
    for reading in readings.values():
        assert f"本包的理解：{in_language(reading, 'zh')}" in zh and f"as read here: {in_language(reading, 'en')}" in en and in_language(reading, "zh") != in_language(reading, "en")
    assert ("含本包对文件的理解" in zh) is ("not spell out, as is said there" in en) is bool(readings)


SYSTEMS = re.compile("制度|备案管理|体系")


def test_where_a_system_is_to_be_set_up_it_is_said_by_what_enterprises_are_judged():
    """The words ask that a system be, and the bracket names authorities: that one parcel, outlet or feed offends against it is the pack's reading."""
    judged = {name: [rule for rule in load_policy(name).pack.rules if rule.basis == "stated" and rule.duty_of == "enterprise" and SYSTEMS.search(rule.quote)] for name in packs()}
    assert sum(map(len, judged.values())) >= 12 and [rule.id for rules in judged.values() for rule in rules if not rule.reading] == []


def test_what_the_document_does_not_demand_is_the_operators_wish():
    for name in packs():
        policy = load_policy(name)
        for rule in policy.pack.rules:
            zh, en = demand_words(rule, policy)
            assert zh.startswith("运营方要求：") is en.startswith("The operator asks: ") is (rule.basis != "stated"), rule.id
            of_authorities = rule.basis == "stated" and rule.duty_of == "authority"  # then the document asks nothing of those who are judged
            assert zh.startswith("文件此条是对主管部门的要求，运营方据此规定：") is en.startswith("The clause binds the authorities; ") is of_authorities, rule.id


def test_no_document_speaks_of_the_plate():
    """统一编号和标识 is about numbers and marking: that plates agree is the pack's own, and said so wherever something is claimed."""
    for name in packs():
        (rule,) = (rule for rule in load_policy(name).pack.rules if rule.rule == "unmarked_vehicle")
        assert rule.basis == "illustrative" or ("号牌须与登记一致，由本包所定" in rule.reading and "the plate must be the registered one is set here" in rule.reading), name


def test_a_pack_that_is_applied_before_its_document_is_told_so():
    assert load_policy("hohhot-2019").valid_from_ms == int(dt.datetime(2019, 7, 1, tzinfo=load_policy("hohhot-2019").timezone).timestamp() * 1000)
    text = FRAME.replace("file: f.txt", "file: f.txt, in_force: {from: 2026-02-01}")
    assert parse(text).warnings == ("valid_from 2026-01-01: the pack is applied before its document is in force, 2026-02-01",) and not parse(text.replace("valid_from: 2026-01", "valid_from: 2026-02")).warnings


CITIES = "Hohhot|Hezhou|Shaoxing|Yunnan|Wulong"


def test_rules_quote_the_documents_too(documented):
    pack, document = documented
    clauses = {section.clause: section.text for section in sections(document)}
    found = 0
    for name, module in RULES.items():
        said = " ".join(re.search(r"^Clause\n((?:    .*\n)+)", module.__doc__, re.MULTILINE)[1].split())
        for quote, places in re.findall(rf"(?:^|[;.] )([^;]+?) \(((?:{CITIES}) [^)]*)\)", said):
            for clause in re.findall(rf"{pack.city.name_en} ([^,)]+)", places):
                found += 1
                assert stands_in(quote, clauses[clause]), f"{name}: “{quote}” is not in {pack.city.name_en} {clause}"
    assert found >= len({rule.rule for rule in pack.rules})


# --- clauses of key figures


DAY = dt.date(2026, 6, 26)
SPEAKS = "\nfigure_clauses:\n  nev_share: {clause: 一, quote: 逐步提高新能源汽车使用比例}\n  parking: {clause: 二, quote: 提高停车设施利用率}\n"


def test_a_city_of_its_own_says_where_its_document_speaks_of_a_figure():
    pack = parse(FRAME + SPEAKS).pack
    assert figure_clauses(pack) == {"nev_share": ("一", "逐步提高新能源汽车使用比例"), "parking": ("二", "提高停车设施利用率")} and not figure_clauses(parse(FRAME).pack)
    assert claims(parse(FRAME + SPEAKS), "nev_share")["clause"] == "一" and "提高停车设施利用率" in json.dumps(gather(parse(FRAME + SPEAKS), Registry(parse(FRAME).timezone), Published([], []), DAY, DAY)["clauses"], ensure_ascii=False)
    assert list(misquotes(pack, f"{pack.document.title} 逐步提高新能源汽车使用比例"))[-1] == (("figure_clauses", "parking", "quote"), "figure parking: “提高停车设施利用率” is not in f.txt")
    assert parse(FRAME + SPEAKS.replace("nev_share", "nev_shar")).warnings == ("figure_clauses: no key figure, and no section of the report, is called nev_shar; did you mean 'nev_share'?",)


def test_a_pack_says_when_purchases_are_subsidised():
    """A window of dates, both included; without one nothing is counted, and other figures have none."""
    said = "\nfigure_clauses:\n  subsidy_window_vehicles: {clause: 一, quote: 补贴, window: {from: 2024-01-01, until: 2024-06-30}}\n"
    policy = parse(FRAME + said)
    assert policy.pack.subsidised == ("2024-01-01", "2024-06-30") and not policy.warnings and parse(FRAME).pack.subsidised is None
    assert "is counted where its window is given" in parse(FRAME + said.replace(", window: {from: 2024-01-01, until: 2024-06-30}", "")).warnings[0]
    assert "nothing is made of the window of nev_share" in parse(FRAME + said.replace("subsidy_window_vehicles", "nev_share")).warnings[0]
    with pytest.raises(BadInput, match=r"window: until 2023-06-30 is before from 2024-01-01"):
        parse(FRAME + said.replace("2024-06-30", "2023-06-30"))



@pytest.mark.parametrize("name", packs())
def test_what_a_document_says_of_figures_stands_in_its_pack_alone(name):
    """No code knows a city: a pack of the same city and document that says nothing of figures has none."""
    policy = load_policy(name)
    said = "\nfigure_clauses:"
    silent = parse_policy(policy.pack.source["yaml"].partition(said)[0], f"{name}.yaml", lambda _: policy.pack.source["geojson"]).pack
    assert said in policy.pack.source["yaml"] and figure_clauses(policy.pack) and not figure_clauses(silent)
