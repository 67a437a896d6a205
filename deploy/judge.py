"""``yicheng judge``: the engine over files, without Kafka. One partition, records in file order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import msgspec
import orjson

from deploy.intake import Chunk, Intake, progress_bar
from deploy.report.enterprises import interruptions
from deploy.report.figures import document_facts, key_figures, measured, whole_period
from deploy.report.network import active_numbers, lines_run, parking, transit
from streams.city.city_judge import CityJudge, Due
from streams.city.contributions import Contribution, of_heartbeats, of_scans
from streams.city.incident_data import incident_data
from streams.city.ledger import CityLedger
from streams.city.rates import fleet_rows
from streams.clock import END_MS
from streams.counts import CITY_WIDE, outlet_row, rate_row
from streams.enterprises.confirmations import Answered, answered
from streams.enterprises.credit import BLACK, ENTERPRISE, charge_of
from streams.enterprises.liveness import HeartbeatPartition, take_heartbeats
from streams.errors import BadInput, nearest
from streams.files.record_files import How
from streams.files.text_files import STDIN, can_be_read_again, open_lines
from streams.lifecycle import OPEN, RETRACTED
from streams.parcels.partition import new_scan_partition
from streams.parcels.scans import COUNTED, count_scans
from streams.policy.claims import figure_clauses
from streams.policy.policy import Policies, Policy
from streams.registry.figure_clauses import SECTIONS
from streams.registry.records import Standing
from streams.registry.registry import Registry
from streams.rules import judged
from streams.vehicles.empty_run import driven_row
from streams.vehicles.engine import Engine
from streams.vehicles.incidents import Transition, as_transition
from streams.vehicles.partition import new_partition
from streams.wire.answers import ACTIONS, read_answer
from streams.wire.decode import Malformed
from streams.wire.events import Reject
from streams.wire.incident import IncidentData
from streams.wire.topics import FEEDBACK, GPS
from streams.words.shown import shown

IDENTITY_KEY = b"yicheng"
WRITTEN = ("incidents.jsonl", "rates.jsonl", "rejects.jsonl", "summary.json")
MOST_PASSES = 8
"""So often are fixes judged at most: who has lost exemptions violates more, and so may lose them for longer."""
Taken = tuple[Counter[str], list[Reject]]
"""What a chunk came to: its records by outcome, and the refused ones."""


def judge_files(
    policy: Policy, registry: Registry, gps: Sequence[str], scans: Sequence[str], out: Path, *, heartbeats: Sequence[str] = (), answers: str | None = None,
    identity_key: bytes = IDENTITY_KEY, how: How | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Judge fixes, scans and heartbeats (whatever ``record_files`` reads; ``-`` is stdin) into four files in ``out``.

    ``answers``: lines as of ``courier.feedback.v1``. ``how``: an encoding, a mapping of columns. Returns what ``summary.json`` holds. Raises ``BadInput`` where a file cannot
    be read, ``out`` is no folder, or one of its files is to be read.
    """
    written = _make_room(out, [*gps, *scans, *heartbeats, *([answers] if answers else [])])
    started, cpu_started = time.perf_counter(), time.process_time()
    judging = _Judging(policy, registry, identity_key, list(read_answers(answers)) if answers else [])
    with (out / "rejects.jsonl").open("wb") as rejects_file, progress_bar() as progress:
        intake = Intake(rejects_file, progress, how or How(), written)
        intake.read("gps", gps, judging.take_fixes)
        intake.read("scan", scans, judging.take_scans)
        intake.read("heartbeat", heartbeats, judging.take_heartbeats)
        incidents, withdrawn = judging.finish(gps, intake)
    _write_lines(out / "incidents.jsonl", [_row(data) for data in incidents])
    _write_lines(out / "rates.jsonl", rates := judging.rates())
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    read = sum(outcomes.total() for outcomes in intake.outcomes.values())
    summary = {
        "policy": policy.name,
        **{name: dict(outcomes) for name, outcomes in intake.outcomes.items()},
        "answers": judging.answers_in_numbers(),
        "first_refusal": intake.first_refusal,
        "passed_over": intake.passed_over,
        "scans_of_other_cities": judging.scans_of_other_cities,
        "heartbeats_of_other_cities": judging.heartbeats_of_other_cities,
        "vehicles": len(judging.fixes.vehicles),
        "incidents": dict(Counter(data.rule_id for data in incidents)),
        "exemptions_withdrawn": withdrawn,
        **judging.figures(policy, rates, incidents),
        "seconds": round(seconds, 3),
        "cpu_us_per_record": round(cpu_seconds * 1e6 / max(1, read), 2),
        "records_per_second": round(read / max(seconds, 1e-9)),
    }
    (out / "summary.json").write_bytes(orjson.dumps(summary, option=orjson.OPT_INDENT_2))
    return summary


def _make_room(out: Path, read: Sequence[str]) -> set[Path]:
    """Make the folder ``out``; the files that will be written there. ``BadInput`` where that cannot be, where it would write over a file that is to be read, or where standard input is to be read twice."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--out {out}: {error.strerror}; give the name of a folder") from None
    if read.count(STDIN) > 1:
        raise BadInput(f"{STDIN}: standard input can be read once; put one of them into a file")
    written = {(out / name).resolve() for name in WRITTEN}
    for name in read:
        if name != STDIN and Path(name).resolve() in written:
            raise BadInput(f"{name} is to be read, and --out {out} would write over it; name another folder")
    return written


class _Judging:
    """One partition of each input, judged chunk by chunk; and the city's ledger, which is judged when all has been read.

    ``credit``: by enterprise, since when exemptions go by which standing (ms), as fixes are judged.
    """

    def __init__(self, policy: Policy, registry: Registry, identity_key: bytes, answers: Sequence[Answered]) -> None:
        self.answers = answers
        self.policies = Policies([policy])
        self.registry = registry
        self.identity_key = identity_key
        self.city = policy.pack.city.adcode
        self.scans, self.heartbeats = new_scan_partition(), HeartbeatPartition()
        self.scans.sweep_ms = END_MS  # what cannot change any more is wanted at the end
        self.made_up: dict[str, set[int]] = {}
        self.scans.made_up = self.heartbeats.made_up = self.made_up
        self.of_others: list[Contribution] = []
        self.scans_of_other_cities = self.heartbeats_of_other_cities = 0
        self.known_incidents: AbstractSet[str] = frozenset()
        self.credit: dict[str, Standing] = {}
        self._begin({})

    def _begin(self, credit: dict[str, Standing]) -> None:
        """All fixes are still to come, and are judged by these standings of enterprises."""
        for enterprise_id in self.credit.keys() | credit.keys():
            self.registry.enter_credit(enterprise_id, credit.get(enterprise_id, Standing()))
        self.credit = credit
        self.engine, self.fixes = Engine(self.policies, self.registry, self.identity_key), new_partition()
        self.latest: dict[str, Transition] = {}

    def take_fixes(self, chunk: Chunk) -> Taken:
        """Judge fixes."""
        result = self.engine.judge(self.fixes, chunk.records)
        self.latest.update((transition.incident_id, transition) for transition in result.transitions)
        return Counter(result.outcomes), result.rejects

    def take_scans(self, chunk: Chunk) -> Taken:
        """Count scans, and judge them one by one."""
        tally, outcomes = count_scans(self.scans, chunk.records, self.policies, self.registry), Counter[str]()
        for (city, _, outcome), number in tally.outcomes.items():
            outcomes[outcome] += number
            self.scans_of_other_cities += number * (outcome == COUNTED and city != self.city)
        return outcomes, tally.rejects

    def take_heartbeats(self, chunk: Chunk) -> Taken:
        """Enter signs of life."""
        taken = Counter[bool]()
        rejects = take_heartbeats(self.heartbeats, chunk.records, self.policies, taken=taken)
        self.heartbeats_of_other_cities += taken[False]
        return Counter({"accepted": len(chunk.records) - len(rejects)}) + Counter(reject.reason for reject in rejects), rejects

    def finish(self, gps: Sequence[str], intake: Intake) -> tuple[list[IncidentData], dict[str, Any] | None]:
        """All incidents that stand at the end; enterprises that came on the black list meanwhile lose exemptions, so fixes are read and judged again until that changes nothing.

        Second, of that: which enterprises, how often fixes were judged, and whether nothing changed any more (a pipe is read once).
        """
        for passes in range(1, MOST_PASSES + 1):
            incidents = self._finish()
            credit = self._credit_of(incidents)
            if credit == self.credit or passes == MOST_PASSES or not all(map(can_be_read_again, gps)):
                break
            self._begin(credit)
            intake.read_again("gps", gps, self.take_fixes)
        for enterprise_id, standing in self.credit.items():
            self.registry.enter_credit(enterprise_id, Standing())  # it is the caller's
            if row := self.standings.get(ENTERPRISE + enterprise_id):
                row["effective"] = standing.effective
        return incidents, {"enterprises": sorted(credit), "passes": passes, "settled": credit == self.credit} if credit else None

    def _credit_of(self, incidents: Sequence[IncidentData]) -> dict[str, Standing]:
        """By enterprise that loses exemptions, by its times on the black list, before the last fix: since when it has which standing."""
        if not any(exemption.unless_credit for rule in self.policies.newest.fix_rules for exemption in rule.alternatives):
            return {}
        found: dict[str, Standing] = {}
        for data in incidents:  # in order of time
            if judged(data.rule) == "credit":
                known = found.setdefault(data.enterprise_id or "", Standing([]))
                turns = ((data.opened_at_ms, BLACK), (data.closed_at_ms, "normal"))
                effective = [(self.policies.newest.days.bounds_ms(self.policies.newest.days.date_of(at_ms))[1], credit) for at_ms, credit in turns if at_ms is not None]
                known.effective += [turn for turn in effective if turn[0] <= self.fixes.stream_time_ms]
        return {enterprise_id: standing for enterprise_id, standing in found.items() if standing.effective}

    def _finish(self) -> list[IncidentData]:
        """All incidents that stand at the end, in order of time; those of the city are judged now."""
        self.ledger = CityLedger()
        self.of_others += [*of_scans(self.scans, 0, self.city), *of_heartbeats(self.heartbeats, 0, self.city)]
        self.latest.update((transition.incident_id, transition) for transition in self.engine.finish(self.fixes))
        of_vehicles = [incident_data(t, self.policies, self.registry) for t in self._final() if t.state != RETRACTED]
        watermark_ms = max(self.fixes.stream_time_ms, self.scans.stream_time_ms, self.heartbeats.stream_time_ms)
        judge, due = CityJudge(self.policies, self.registry, self.identity_key, has_account=lambda _: True, made_up=self.made_up), Due()
        for contribution in self._contributions(of_vehicles):
            judge.enter(self.ledger, contribution, due)
        judge.advance(self.ledger, watermark_ms, watermark_ms - 1, due)
        result = judge.judge(self.ledger, due)
        of_city = {data.incident_id: data for _, data in result.incidents}
        self.standings = {row["subject"]: row for row in result.standings}
        self.known_incidents = self.latest.keys() | of_city.keys()
        incidents = [*of_vehicles, *(data for data in of_city.values() if data.state != RETRACTED)]
        return sorted(incidents, key=lambda data: (data.opened_at_ms, data.rule_id, data.vehicle_id or data.outlet_id or data.enterprise_id or data.line_id or "", data.zone_id or ""))

    def _contributions(self, of_vehicles: Sequence[IncidentData]) -> Iterator[Contribution]:
        """What the inputs have come to, as workers send it to their city."""
        yield from self.of_others
        for data in of_vehicles:
            if charge := charge_of(data, self.policies):
                yield Contribution(self.city, GPS.name, charge=charge)
        for answer in self.answers:
            yield Contribution(self.city, FEEDBACK.name, answer=answer)
        for date, day in self.fixes.fleet_days.by_date.items():
            yield Contribution(self.city, GPS.name, CITY_WIDE, date, 0, fleet=day)

    def _final(self) -> list[Transition]:
        """The last state of every incident of a vehicle; those still open as they stand now, not as they were announced."""
        for vehicle in self.fixes.vehicles.values():
            for incident in vehicle.incidents or ():
                if incident.state == OPEN:
                    self.latest[incident.incident_id] = as_transition("updated", vehicle, incident)
        return list(self.latest.values())

    def answers_in_numbers(self) -> dict[str, int]:
        """How many answers were read, and how many name no incident of these files."""
        unknown = sum(answer.incident_id not in self.known_incidents for answer in self.answers)
        return {"read": len(self.answers), "of_no_incident": unknown} if self.answers else {}

    def rates(self) -> list[dict[str, Any]]:
        """Every day's rates."""
        return [rate_row(day, counts) for day, state in sorted(self.ledger.days.items()) if (counts := state.counts()).accepted]

    def other_rows(self) -> dict[str, list[dict[str, Any]]]:
        """What else is published as rows of rates: days on which parcels only went on, when outlets were last scanned at, how vehicles drove."""
        only_handled = [(day, counts) for day, state in sorted(self.ledger.days.items()) if not (counts := state.counts()).accepted and counts.says_something()]
        return {
            "handled": [rate_row(*day) for day in only_handled],
            "outlets": [outlet_row(self.city, outlet_id, date) for outlet_id, date in sorted(self.ledger.seen.items())],
            "driven": [driven_row(self.city, date, driven) for date, driven in sorted(self.fixes.empty_run.by_date.items())],
            "fleet": [row for date in sorted(self.ledger.fleet) for row in fleet_rows(self.ledger, self.policies, self.registry, self.city, date)],
        }

    def figures(self, policy: Policy, rates: list[dict[str, Any]], incidents: Sequence[IncidentData]) -> dict[str, Any]:
        """The other rows, enterprises' credit, and of all days that were judged (none where there is no day) the key figures, and what a report has a section on, with its clause."""
        others = self.other_rows()
        rows = [*rates, *(row for found in others.values() for row in found)]
        period = whole_period(policy, rows, (data.opened_at_ms for data in incidents))
        clauses = figure_clauses(policy.pack)
        known = key_figures(measured(policy, self.registry, rows, period), {}, policy.pack.targets, clauses, period.last.isoformat(), active_numbers(policy, self.registry, rows, period)) if period else []
        document = document_facts(policy, period.last.isoformat()) if period else None
        bounds_ms = period.bounds_ms(policy.days) if period else (0, 0)
        sections = {
            "transit": transit(self.registry, rows, bounds_ms[1] - 1), "interruptions": interruptions(self.registry, msgspec.to_builtins(incidents), bounds_ms),
            "parking": parking(policy, rows), "lines": lines_run(rows), "clauses": {section: clauses[section] for section in SECTIONS if section in clauses},
        } if period else {}  # fmt: skip
        return {"document": document, **others, **sections, "credit": list(self.standings.values()), "key_figures": known}


def read_answers(name: str) -> Iterator[Answered]:
    """The answers in a file, one a line, each as if it had arrived at its own time; ``BadInput`` names the first line that is none."""
    for number, line in enumerate(open_lines(name), 1):
        try:
            if line.strip():
                if (said := read_answer(line)).action not in ACTIONS:
                    raise BadInput(f"{name}:{number}: {shown(said.action[:40])} is no answer{nearest(said.action[:40], ACTIONS)}")
                yield answered(line, None, number)
        except Malformed as error:
            raise BadInput(f"{name}:{number}: {error}") from None


def _row(data: IncidentData) -> dict[str, Any]:
    """An incident as it stands, without the number of the revisions that led there."""
    row: dict[str, Any] = msgspec.to_builtins(data)
    del row["revision"]
    return row


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("wb") as file:
        file.writelines(orjson.dumps(row) + b"\n" for row in rows)
