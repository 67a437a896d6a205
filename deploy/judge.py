"""``yicheng judge``: the engine over files, without Kafka. One partition, records in file order."""

from __future__ import annotations

import gzip
import io
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import zstandard
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from streams.clock import END_MS, month_after
from streams.cloudevents import day_incident_data, finding_data, incident_data, spell_data
from streams.credit import Account, black_spells, charge_of, costs
from streams.driven import driven_row
from streams.engine import Engine, FixPartition, new_partition
from streams.errors import BadInput
from streams.events import Record, Reject
from streams.findings import judge_finding
from streams.incidents import OPEN, RETRACTED, Transition, as_transition
from streams.parcels import DayKey
from streams.policy import Policies, Policy
from streams.rates import Counts, DayJudge, DayTransition, count_scans, new_scan_partition, rate_row, totals
from streams.registry import Registry
from streams.rules import RULES
from streams.shown import shown
from streams.silences import HeartbeatPartition, Span, joined, silences, take_heartbeats
from streams.spells import judge_spells

CHUNK_RECORDS = 2_000
IDENTITY_KEY = b"yicheng"


def judge_files(
    policy: Policy, registry: Registry, gps: list[str], scans: list[str], out: Path, *, heartbeats: Sequence[str] = (), identity_key: bytes = IDENTITY_KEY
) -> dict[str, Any]:
    """Judge fixes, scans and heartbeats (JSONL, ``.gz`` and ``.zst`` understood, ``-`` is stdin) into four files in ``out``.

    Returns what ``summary.json`` holds. Raises ``BadInput`` where a file cannot be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    started, cpu_started = time.perf_counter(), time.process_time()
    policies = Policies([policy])
    engine = Engine(policies, registry, identity_key)
    partition, latest, outcomes = new_partition(), dict[str, Transition](), Counter[str]()
    scan_partition, scan_outcomes = new_scan_partition(), Counter[str]()
    heard = HeartbeatPartition()
    made_up: dict[str, set[int]] = {}
    scan_partition.made_up = heard.made_up = made_up
    scan_partition.sweep_ms = END_MS  # what cannot change any more is wanted at the end

    with (out / "rejects.jsonl").open("wb") as rejects_file, _progress() as progress:

        def refuse(rejects: list[Reject], file: str, first_line: int) -> None:
            for reject in rejects:
                line = reject.record.offset - first_line + 1
                row = {"reason": reject.reason, "event_id": reject.event_id, "line": line, "file": file, "error": reject.error}
                rejects_file.write(orjson.dumps(row) + b"\n")

        def judge_chunk(file: str, first_line: int, records: list[Record]) -> None:
            verdict = engine.judge(partition, records)
            outcomes.update(verdict.outcomes)
            for transition in verdict.transitions:
                latest[transition.incident_id] = transition
            refuse(verdict.rejects, file, first_line)

        def count_chunk(file: str, first_line: int, records: list[Record]) -> None:
            tally = count_scans(scan_partition, records, policies, registry)
            for (_, _, outcome), number in tally.outcomes.items():
                scan_outcomes[outcome] += number
            refuse(tally.rejects, file, first_line)

        def hear_chunk(file: str, first_line: int, records: list[Record]) -> None:
            refuse(take_heartbeats(heard, records, policies), file, first_line)

        _each_chunk(gps, judge_chunk, progress)
        _each_chunk(scans, count_chunk, progress)
        _each_chunk(heartbeats, hear_chunk, progress)

    watched: dict[str, list[Span]] = {}
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
        _, found = judge_finding(policies, identity_key, key, sightings.extent(), None, watermark_ms)
        incidents += [finding_data(t, registry) for t in found[-1:]]
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
    summary = {
        "policy": policy.name,
        "fixes": dict(outcomes),
        "scans": dict(scan_outcomes),
        "vehicles": len(partition.traces),
        "incidents": dict(Counter(data["rule_id"] for data in incidents)),
        "driven": [driven_row(policy.pack.city.adcode, date, driven) for date, driven in sorted(partition.driven.by_date.items())],
        "seconds": round(seconds, 3),
        "cpu_us_per_record": round(cpu_seconds * 1e6 / max(1, outcomes.total() + scan_outcomes.total()), 2),
        "records_per_second": round((outcomes.total() + scan_outcomes.total()) / max(seconds, 1e-9)),
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
            transitions = {t.incident_id: t for t in judge_spells(policies, identity_key, rule.id, subject, told, {})}
            found += [spell_data(t, registry) for t in transitions.values()]
    accounts: dict[str, Account] = {}
    for data in [*incidents, *found]:
        if charge := charge_of(data, policies):
            accounts.setdefault(charge.enterprise_id, Account()).charges[charge.incident_id] = charge
    for rule in policy.credit_rules:
        for enterprise_id, account in sorted(accounts.items()):
            subject = f"enterprise/{enterprise_id}"
            spells, _ = black_spells(costs(account, rule), rule, watermark_ms - 1)
            transitions = {t.incident_id: t for t in judge_spells(policies, identity_key, rule.id, subject, spells, {})}
            found += [spell_data(t, registry) for t in transitions.values()]
    return found


def _final(partition: FixPartition, latest: dict[str, Transition]) -> list[Transition]:
    """The last state of every incident; those still open as they stand now, not as they were announced."""
    for trace in partition.traces.values():
        for incident in trace.incidents or ():
            if incident.state == OPEN:
                latest[incident.incident_id] = as_transition("updated", trace, incident)
    return list(latest.values())


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("wb") as file:
        file.writelines(orjson.dumps(row) + b"\n" for row in rows)


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


def _each_chunk(files: Sequence[str], take: Callable[[str, int, list[Record]], None], progress: Progress) -> None:
    """Hand the non-empty lines of each file to ``take`` in chunks; offsets go on from file to file."""
    offset = 0
    for file in files:
        first_line, chunk = offset, list[Record]()
        task = progress.add_task(shown(file), total=None if file == "-" else _size(file))
        for line in open_lines(file, lambda done, task=task: progress.update(task, completed=done)):  # type: ignore[misc]
            if line.strip():
                chunk.append(Record(line, offset))
            offset += 1
            if len(chunk) == CHUNK_RECORDS:
                take(file, first_line, chunk)
                chunk = []
        take(file, first_line, chunk)


def _size(file: str) -> int:
    try:
        return Path(file).stat().st_size
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}; give a JSONL file, a .gz or .zst of one, or - for stdin") from None


def open_lines(file: str, on_read: Callable[[int], None] = lambda _: None) -> Iterator[bytes]:
    """Lines of a file (``.gz``, ``.zst`` decompressed, ``-``: stdin); ``on_read`` hears the raw bytes read so far."""
    if file == "-":
        yield from sys.stdin.buffer
        return
    _size(file)
    with Path(file).open("rb") as raw:
        stream: BinaryIO = raw
        if file.endswith(".gz"):
            stream = gzip.open(raw)  # type: ignore[assignment]
        elif file.endswith(".zst"):
            stream = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
        try:
            for number, line in enumerate(stream):
                yield line
                if number % 10_000 == 0:
                    on_read(raw.tell())
        except (OSError, EOFError, zstandard.ZstdError) as error:
            raise BadInput(f"{file}: damaged or not what its name says: {error}") from None
        on_read(raw.tell())
