"""``yicheng judge``: the engine over files, without Kafka. One partition, records in file order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from deploy.intake import Chunk, Intake, progress_bar
from streams.clock import END_MS, month_after
from streams.counts import Counts, DayKey, rate_row, totals
from streams.enterprises.credit import Account, black_intervals, charge_of, costs
from streams.enterprises.intervals import judge_intervals
from streams.enterprises.liveness import HeartbeatPartition, Span, joined, silences, take_heartbeats
from streams.errors import BadInput
from streams.events import Reject
from streams.files.record_files import How
from streams.lifecycle import OPEN, RETRACTED
from streams.parcels.days import DayJudge, DayTransition
from streams.parcels.scans import count_scans, new_scan_partition
from streams.parcels.violations import judge_violation
from streams.policy.policy import Policies, Policy
from streams.registry.registry import Registry
from streams.rules import RULES
from streams.runtime.cloudevents import day_incident_data, incident_data, interval_data, violation_data
from streams.vehicles.empty_run import driven_row
from streams.vehicles.engine import Engine
from streams.vehicles.incidents import Transition, as_transition
from streams.vehicles.partition import FixPartition, new_partition

IDENTITY_KEY = b"yicheng"


def judge_files(
    policy: Policy, registry: Registry, gps: Sequence[str], scans: Sequence[str], out: Path, *, heartbeats: Sequence[str] = (),
    identity_key: bytes = IDENTITY_KEY, how: How | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Judge fixes, scans and heartbeats (whatever ``record_files`` reads; ``-`` is stdin) into four files in ``out``.

    ``how``: an encoding, a mapping of columns. Returns what ``summary.json`` holds. Raises ``BadInput`` where a file cannot
    be read, or ``out`` is no folder.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--out {out}: {error.strerror}; give the name of a folder") from None
    started, cpu_started = time.perf_counter(), time.process_time()
    policies = Policies([policy])
    engine = Engine(policies, registry, identity_key)
    partition, latest = new_partition(), dict[str, Transition]()
    scan_partition = new_scan_partition()
    heard = HeartbeatPartition()
    made_up: dict[str, set[int]] = {}
    scan_partition.made_up = heard.made_up = made_up
    scan_partition.sweep_ms = END_MS  # what cannot change any more is wanted at the end

    def judge_chunk(chunk: Chunk) -> tuple[Counter[str], list[Reject]]:
        verdict = engine.judge(partition, chunk.records)
        for transition in verdict.transitions:
            latest[transition.incident_id] = transition
        return Counter(verdict.outcomes), verdict.rejects

    def count_chunk(chunk: Chunk) -> tuple[Counter[str], list[Reject]]:
        tally, outcomes = count_scans(scan_partition, chunk.records, policies, registry), Counter[str]()
        for (_, _, outcome), number in tally.outcomes.items():
            outcomes[outcome] += number
        return outcomes, tally.rejects

    def hear_chunk(chunk: Chunk) -> tuple[Counter[str], list[Reject]]:
        rejects = take_heartbeats(heard, chunk.records, policies)
        return Counter({"accepted": len(chunk.records) - len(rejects)}) + Counter(reject.reason for reject in rejects), rejects

    with (out / "rejects.jsonl").open("wb") as rejects_file, progress_bar() as progress:
        intake = Intake(rejects_file, progress, how or How())
        intake.read("gps", gps, judge_chunk)
        intake.read("scan", scans, count_chunk)
        intake.read("heartbeat", heartbeats, hear_chunk)

    watched: dict[str, list[Span]] = {}
    latest.update((transition.incident_id, transition) for transition in engine.finish(partition))
    incidents = [incident_data(t, policies, registry) for t in _final(partition, latest) if t.state != RETRACTED]
    watermark_ms = max(partition.stream_time_ms, scan_partition.stream_time_ms, heard.stream_time_ms)
    counts = totals([scan_partition.counts])
    day_judge = DayJudge(policies, registry, identity_key)
    day_transitions = [t for day, counted in counts.items() for t in day_judge.judge(day, counted, {}, watermark_ms)]
    months: dict[DayKey, Counts] = {}
    for day, counted in counts.items():
        months.setdefault(day._replace(date=day.date[:7]), Counts()).merge(counted)
    for month, counted in months.items():
        before = months.get(month._replace(date=month_after(month.date, -1)), Counts())
        day_transitions += day_judge.judge_month(month, counted, before, {}, watermark_ms)
    final_days: dict[str, DayTransition] = {t.incident_id: t for t in day_transitions}
    incidents += [day_incident_data(t, policies, registry) for t in final_days.values() if t.state != RETRACTED]
    for key, sightings in scan_partition.findings.items():
        _, found = judge_violation(policies, identity_key, key, sightings.extent(), None, watermark_ms)
        incidents += [violation_data(t, registry) for t in found[-1:]]
    for signs in (scan_partition.signs, heard.signs):
        for subject, spans in signs.items():
            watched.setdefault(subject, []).extend(spans)
    incidents += _spells(policies, registry, identity_key, watched, made_up, incidents, watermark_ms)
    incidents.sort(key=lambda d: (d["opened_at_ms"], d["rule_id"], d["vehicle_id"] or d["outlet_id"] or d["enterprise_id"] or "", d["zone_id"] or ""))
    for data in incidents:
        del data["revision"]
    _write_lines(out / "incidents.jsonl", incidents)
    _write_lines(out / "rates.jsonl", [rate_row(day, counted) for day, counted in counts.items()])
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    read = sum(outcomes.total() for outcomes in intake.outcomes.values())
    summary = {
        "policy": policy.name,
        **{name: dict(outcomes) for name, outcomes in intake.outcomes.items()},
        "first_refusal": intake.first_refusal,
        "passed_over": intake.passed_over,
        "vehicles": len(partition.vehicles),
        "incidents": dict(Counter(data["rule_id"] for data in incidents)),
        "driven": [driven_row(policy.pack.city.adcode, date, driven) for date, driven in sorted(partition.empty_run.by_date.items())],
        "seconds": round(seconds, 3),
        "cpu_us_per_record": round(cpu_seconds * 1e6 / max(1, read), 2),
        "records_per_second": round(read / max(seconds, 1e-9)),
    }
    (out / "summary.json").write_bytes(orjson.dumps(summary, option=orjson.OPT_INDENT_2))
    return summary


def _spells(
    policies: Policies, registry: Registry, identity_key: bytes, watched: dict[str, list[Span]], made_up: dict[str, set[int]], incidents: list[dict[str, Any]],
    watermark_ms: int,
) -> list[dict[str, Any]]:
    """The silences of cameras and feeds, then the black lists that follow from all incidents, as they stand at the end."""
    policy, found = policies.newest, list[dict[str, Any]]()
    for subject, spans in sorted(watched.items()):
        kind = subject.partition("/")[0]
        for rule in (rule for rule in policy.silence_rules if kind == RULES[rule.rule].SIGNS):
            spells, _ = silences(policies, registry, rule.id, subject, joined(spans, int(rule.parameters.limit)), watermark_ms)
            told = [spell._replace(synthetic=not made_up.get(subject, set()).isdisjoint(spell[:2])) for spell in spells]
            transitions = {t.incident_id: t for t in judge_intervals(policies, identity_key, rule.id, subject, told, {})}
            found += [interval_data(t, registry) for t in transitions.values()]
    accounts: dict[str, Account] = {}
    for data in [*incidents, *found]:
        if charge := charge_of(data, policies):
            accounts.setdefault(charge.enterprise_id, Account()).charges[charge.incident_id] = charge
    for rule in policy.credit_rules:
        for enterprise_id, account in sorted(accounts.items()):
            subject = f"enterprise/{enterprise_id}"
            spells, _ = black_intervals(costs(account, rule), rule, watermark_ms - 1)
            transitions = {t.incident_id: t for t in judge_intervals(policies, identity_key, rule.id, subject, spells, {})}
            found += [interval_data(t, registry) for t in transitions.values()]
    return found


def _final(partition: FixPartition, latest: dict[str, Transition]) -> list[Transition]:
    """The last state of every incident; those still open as they stand now, not as they were announced."""
    for trace in partition.vehicles.values():
        for incident in trace.incidents or ():
            if incident.state == OPEN:
                latest[incident.incident_id] = as_transition("updated", trace, incident)
    return list(latest.values())


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("wb") as file:
        file.writelines(orjson.dumps(row) + b"\n" for row in rows)
