"""What ``judge`` takes in: records in chunks with the lines they stand on, and an account of what became of each."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
import orjson
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from streams.files.mending import way_out
from streams.files.record_columns import NAMES
from streams.files.record_files import MOST_LINE_BYTES, How, open_records
from streams.files.text_files import size_of
from streams.wire.events import DUPLICATE, LATE, MALFORMED, REASONS, Record, Reject
from streams.words.shown import shown

CHUNK_RECORDS = 2_000
TOO_LONG = f"a line of more than {MOST_LINE_BYTES:,} bytes"


class Chunk(NamedTuple):
    """Consecutive records of a file, and the line of each."""

    file: str
    records: list[Record]
    lines: list[int]


class Intake:
    """Reads files, writes ``rejects.jsonl`` and keeps count: ``outcomes`` by what was read, ``first_refusal`` in words, with the way out where one is known. ``written``: files of ours, which folders may hold and nobody is to read."""

    def __init__(self, rejects: BinaryIO, progress: Progress, how: How, written: AbstractSet[Path] = frozenset()) -> None:
        self.outcomes: dict[str, Counter[str]] = {name: Counter() for name in NAMES.values()}
        self.first_refusal: str | None = None
        self.passed_over: list[str] = []
        self._rejects = rejects
        self._progress = progress
        self._how = how
        self._written = written

    def read(self, kind: str, files: Sequence[str], take: Callable[[Chunk], tuple[Counter[str], list[Reject]]]) -> None:
        """Hand the records of files to ``take``, which returns their outcomes and the refused ones. Offsets go on from file to file."""
        for chunk in self._chunks(kind, files):
            outcomes, rejects = take(chunk)
            self.outcomes[NAMES[kind]].update(outcomes)
            for reject in sorted(rejects, key=lambda reject: reject.record.offset):
                line = chunk.lines[reject.record.offset - chunk.records[0].offset]
                hint = way_out(kind, reject.reason, reject.record.value) if self.first_refusal is None else None
                self._refuse(chunk.file, line, reject.reason, reject.event_id, reject.error, hint)

    def read_again(self, kind: str, files: Sequence[str], take: Callable[[Chunk], object]) -> None:
        """Hand the records of files to ``take`` once more; what is refused has been told."""
        with Path(os.devnull).open("wb") as nowhere:
            again = Intake(nowhere, self._progress, self._how, self._written)
            for chunk in again._chunks(kind, files):
                take(chunk)

    def _chunks(self, kind: str, files: Sequence[str]) -> Iterator[Chunk]:
        how = msgspec.structs.replace(self._how, kind=kind, on_file=self._watch, on_passed_over=self.passed_over.append)
        offset = 0
        for file in open_records(files, how):
            if Path(file.name).resolve() in self._written:
                continue
            chunk = Chunk(file.name, [], [])
            for line, value in file.records:
                if value is None:
                    if chunk.lines:  # refusals are told in the order of lines
                        yield chunk
                        chunk = Chunk(file.name, [], [])
                    self.outcomes[NAMES[kind]][MALFORMED] += 1
                    self._refuse(file.name, line, MALFORMED, None, TOO_LONG)
                    continue
                chunk.records.append(Record(value, offset))
                chunk.lines.append(line)
                offset += 1
                if len(chunk.lines) == CHUNK_RECORDS:
                    yield chunk
                    chunk = Chunk(file.name, [], [])
            if chunk.lines:
                yield chunk

    def _watch(self, name: str) -> Callable[[int], None]:
        task = self._progress.add_task(shown(Path(name).name), total=size_of(name))
        return lambda done: self._progress.update(task, completed=done)

    def _refuse(self, file: str, line: int, reason: str, event_id: str | None, error: str, hint: str | None = None) -> None:
        row = {"reason": reason, "event_id": event_id, "line": line, "file": file, "error": error}
        self._rejects.write(orjson.dumps(row) + b"\n")
        if self.first_refusal is None and reason not in {LATE, DUPLICATE}:
            self.first_refusal = f"{file}:{line}: {reason}{f': {error}' if error else ''}{f'; {hint}' if hint else ''}"


def account(summary: dict[str, Any], asked: AbstractSet[str] = frozenset({"fixes"})) -> Iterator[str]:
    """The summary's counts in words, a line for each kind that was read or ``asked`` for: accepted, refused by reason, late, duplicate."""
    for name in NAMES.values():
        outcomes = summary[name]
        if not outcomes and name not in asked:
            continue
        refused = {reason: outcomes[reason] for reason in REASONS if reason in outcomes and reason not in {LATE, DUPLICATE}}
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in refused.items())
        yield (
            f"{name}: {accepted(outcomes):,} accepted, {sum(refused.values()):,} refused{f' ({reasons})' if reasons else ''}, "
            f"{outcomes.get(LATE, 0):,} late, {outcomes.get(DUPLICATE, 0):,} duplicate"
        )
    if (withdrawn := summary["exemptions_withdrawn"]) and not withdrawn["settled"]:
        names = ", ".join(withdrawn["enterprises"])
        yield (
            f"列入黑名单的企业（{names}）自次日起不再享有豁免，但其后的定位未全部据此重新判定（管道只能读一次；文件最多判定数次），请改用文件。"
            f"Enterprises on the black list ({names}) have no exemptions from the next day on, and not all later fixes were judged by that: a pipe is read once, files {withdrawn['passes']} times. Give files."
        )
    if said := summary["answers"]:
        yield f"answers: {said['read']:,} read, {said['of_no_incident']:,} to no incident of these files"
    if number := summary["scans_of_other_cities"]:
        yield f"{number:,} 条扫描属于其他城市，只计数，不按本政策包判定 scans of other cities: counted as theirs, judged by no rule of this pack"
    if number := summary["heartbeats_of_other_cities"]:
        yield f"{number:,} 条心跳属于其他城市，只计数，不按本政策包判定 heartbeats of other cities: only counted, judged by no rule of this pack"
    if summary["passed_over"]:
        yield f"passed over in folders: {len(summary['passed_over'])} files, first {summary['passed_over'][0]}"
    if summary["first_refusal"]:
        yield f"first refusal: {summary['first_refusal']}"


def accepted(outcomes: dict[str, int]) -> int:
    """How many of what was read were accepted."""
    return sum(number for outcome, number in outcomes.items() if outcome not in REASONS)


def progress_bar() -> Progress:
    """A bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
