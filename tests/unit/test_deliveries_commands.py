"""``yicheng notifier log``, ``failed list|retry|drop`` and ``replay``, on a real outbox: what they print, and what they leave in it."""

from contextlib import closing

import orjson
import pytest
from typer.testing import CliRunner

from consumers.outbox.file import FILE, connect, prepare
from consumers.outbox.log import logged
from consumers.outbox.outbox import Outbox
from consumers.outbox.rows import Entry
from consumers.routing.routes import Destination
from deploy import deliveries
from deploy.commands.notifier import app
from streams.clock import now_ms
from streams.errors import BadInput

HOUR_MS = 3_600_000


class Site:
    """An outbox, and the commands about it."""

    def __init__(self, folder):
        self.path = folder / FILE
        prepare(self.path)
        self.outbox, self.began_ms = Outbox(self.path), now_ms()

    def put(self, incident_id, sink="duty", step=0, made_ms=None):
        made_ms = made_ms or self.began_ms
        entry = Entry(incident_id, 1, orjson.dumps({"id": f"{incident_id}/1"}))
        self.outbox.put([(entry, [Destination(sink, "all", step, made_ms, None, step > 0)])], made_ms)
        return next(each.no for each in reversed(logged(self.path)) if (each.incident_id, each.sink, each.step) == (incident_id, sink, step))

    def run(self, *arguments):
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    def rows(self, *arguments):
        """The printed table as dictionaries."""
        head, *rows = self.run(*arguments).splitlines()
        return [dict(zip(head.split("\t"), row.split("\t"), strict=True)) for row in rows]

    def states(self):
        return {each.no: each.state for each in logged(self.path)}


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setenv("YICHENG_STATE_DIR", str(tmp_path))
    made = Site(tmp_path)
    yield made
    made.outbox.close()


@pytest.fixture
def three(site):
    """Two failed, of two sinks, and one that waits."""
    first, second, third = site.put("A"), site.put("B", "police"), site.put("C")
    site.outbox.fail([first, second], site.began_ms, "answered 410\tfor good\x1b[2J")
    return first, second, third


def test_what_failed_is_listed_with_its_reason_and_nothing_steers_a_terminal(site, three):
    rows = site.rows("failed", "list")
    assert [(row["incident"], row["sink"], row["state"], row["tries"]) for row in rows] == [("A/1", "duty", "failed", "1"), ("B/1", "police", "failed", "1")]
    assert "answered 410" in rows[0]["answer"] and "\x1b" not in rows[0]["answer"]
    assert [row["incident"] for row in site.rows("failed", "list", "--sink", "police")] == ["B/1"]


def test_what_failed_is_delivered_again_by_number_sink_or_all(site, three):
    first, second, third = three
    site.outbox.switch("police", off=True)
    assert site.run("failed", "retry", str(first)) == "1 to be delivered again / 条将重新投递\n"
    assert site.states() == {first: 0, second: 2, third: 0} and site.outbox.is_off("police")
    assert site.run("failed", "retry", "--sink", "police").startswith("1 ") and not site.outbox.is_off("police")
    site.outbox.fail([first, second], site.began_ms, "410")
    assert site.run("failed", "retry", "--all").startswith("2 ") and set(site.states().values()) == {0}


def test_a_step_that_was_answered_since_is_left_out_and_that_is_said(site):
    step, other = site.put("A", step=1), site.put("B", step=1)
    site.outbox.fail([step, other], site.began_ms, "410")
    site.outbox.drop_waiting("A", "", "acknowledged", site.began_ms, answered_ms=site.began_ms)
    assert site.run("failed", "retry", "--all") == "1 to be delivered again / 条将重新投递; 1 left out, since somebody has answered / 条已有答复，未重新投递\n"
    assert site.states() == {step: 2, other: 0}


def test_what_failed_is_given_up_and_what_waits_only_where_that_is_said(site, three):
    first, second, third = three
    assert site.run("failed", "drop", "--sink", "duty", "--reason", "no such desk") == "1 dropped / 条已放弃\n"
    assert site.states() == {first: 3, second: 2, third: 0}
    assert [each.reason for each in logged(site.path) if each.no == first] == ["no such desk"]
    assert site.run("failed", "drop", "--sink", "duty", "--waiting").startswith("1 ") and site.states()[third] == 3
    assert site.run("failed", "drop", str(second)).startswith("1 ") and set(site.states().values()) == {3}


@pytest.mark.parametrize(("arguments", "said"), [
    (("failed", "retry"), "name deliveries by their numbers"), (("failed", "retry", "1", "--all"), "name deliveries by their numbers"), (("failed", "drop", "3"), "3 is no failed delivery"),
    (("failed", "drop", "--all", "--waiting"), "--waiting is about one sink"), (("replay",), "say what is to be delivered again"), (("replay", "--since", "soon"), "'soon' is no time"),
    (("log", "--until", "soon"), "'soon' is no time"),
    *((command, "^unknown sink 'polise', did you mean 'police'; known: archive, duty, police$") for command in (
        ("log", "--sink", "polise"), ("failed", "list", "--sink", "polise"), ("failed", "retry", "--sink", "polise"), ("failed", "drop", "--sink", "polise", "--waiting"), ("replay", "--since", "2000-01-01", "--sink", "polise"),
    )),
])  # fmt: skip
def test_what_is_wrong_is_said_and_changes_nothing(site, three, arguments, said):
    site.outbox.switch("archive", off=False)
    before = site.states()
    with pytest.raises(BadInput, match=said):
        site.run(*arguments)
    assert site.states() == before


def test_a_sink_that_only_the_routes_know_has_nothing_and_is_no_mistake(site, three, monkeypatch, tmp_path):
    monkeypatch.setenv("YICHENG_SINK_FILE", str(tmp_path / "sink.jsonl"))
    assert site.rows("log", "--sink", "file") == [] and site.run("failed", "retry", "--sink", "file").startswith("0 ")
    with pytest.raises(BadInput, match="known: duty, file, police"):
        site.run("log", "--sink", "x")


def test_the_log_says_when_and_why_something_waits(site, three):
    """Of a sink that takes nothing no delivery is charged with it."""
    first, _, third = three
    site.outbox.failing("duty", 7_261.0)
    failed, waiting = site.rows("log", "--sink", "duty")
    made = deliveries.datetime.fromtimestamp(site.began_ms / 1000).astimezone().isoformat(" ", "seconds")
    assert (failed["number"], failed["made"], failed["due"], failed["ended"], failed["answer"][:8]) == (str(first), made, made, made, "answered")
    assert (waiting["number"], waiting["ended"], waiting["answer"]) == (str(third), "", "the sink has taken nothing for 2 hours 1 minute 1 second")
    site.outbox.switch("duty", off=True)
    assert site.rows("log", "--sink", "duty")[1]["answer"] == "the sink is switched off"
    site.outbox.switch("duty", off=False)
    assert site.rows("log", "--sink", "duty")[1]["answer"] == ""


def test_without_an_outbox_it_is_said_where_one_would_be(tmp_path, monkeypatch):
    monkeypatch.setenv("YICHENG_STATE_DIR", str(tmp_path / "elsewhere"))
    with pytest.raises(BadInput, match="no outbox at"):
        CliRunner().invoke(app, ["log"], catch_exceptions=False)


def test_the_log_says_what_went_where_and_when_it_is_not_all_of_it(site, three, monkeypatch):
    first, _, third = three
    site.outbox.delivered([(third, 0.25, None)], site.began_ms)
    rows = site.rows("log", "--sink", "duty")
    assert [(row["number"], row["state"], row["took ms"], row["answer"][:5]) for row in rows] == [(str(first), "failed", "", "answe"), (str(third), "delivered", "250", "taken")]
    assert [row["incident"] for row in site.rows("log", "--incident", "B")] == ["B/1"]
    monkeypatch.setattr(deliveries, "MOST_SHOWN", 3)
    assert len(site.run("log").splitlines()) == 4
    monkeypatch.setattr(deliveries, "MOST_SHOWN", 2)
    *_, last = site.run("log").splitlines()
    assert last.startswith("only the first 2 are listed") and "仅列出前 2 条" in last and len(site.run("log").splitlines()) == 4


def test_of_one_incident_or_of_a_span_all_is_delivered_again_but_no_escalation(site):
    old, new, step = site.put("A", made_ms=site.began_ms - 3 * HOUR_MS), site.put("B"), site.put("B", "chief", step=1)
    other = site.put("B", "police")

    def deliver():
        site.outbox.delivered([(number, 0.1, None) for number in (old, new, step, other)], site.began_ms)

    deliver()
    assert site.run("replay", "--incident", "B") == "2 to be delivered again / 条将重新投递\n"
    assert site.states() == {old: 1, new: 0, step: 1, other: 0}
    deliver()
    assert site.run("replay", "--incident", "B", "--sink", "police").startswith("1 ") and site.states()[other] == 0
    deliver()
    assert site.run("replay", "--since", "2000-01-01").startswith("3 ")
    deliver()
    hour_ago = deliveries.datetime.fromtimestamp((site.began_ms - HOUR_MS) / 1000).isoformat()
    assert site.run("replay", "--since", hour_ago).startswith("2 ") and site.states()[old] == 1
    deliver()
    assert site.run("replay", "--since", "2000-01-01", "--until", hour_ago).startswith("1 ") and site.states()[old] == 0


def test_an_outbox_that_turns_out_to_be_damaged_and_a_name_that_is_no_text_are_one_line(tmp_path):
    site = Site(tmp_path)
    for number in range(2_000):
        site.put(f"I{number}")
    site.outbox.close()
    with closing(connect(site.path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        first_page = db.execute("PRAGMA page_size").fetchone()[0] * 20
    with site.path.open("r+b") as file:
        file.seek(first_page)
        file.write(b"\xff" * 100_000)
    with pytest.raises(BadInput, match="cannot be read"):
        logged(site.path)
    site = Site(tmp_path / "other")
    with pytest.raises(BadInput, match="no text"):
        logged(site.path, incident_id="\udcff")
