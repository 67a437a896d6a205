"""What an import changes of the registry that Kafka holds: records new, versions added, changed and removed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from streams.registry.records import AnyEntry
from streams.registry.registry import Registry, validity_ms

EXAMPLES = 3
"""So many ids of new records are named for each kind."""


class RecordChange(msgspec.Struct):
    """What becomes of one record (``kind/id``): its versions afterwards, and how they differ from those held.

    ``added``: a version and the one before it (None: there is none); ``changed``: a version as it was and as it will be.
    """

    key: str
    versions: list[AnyEntry]
    is_new: bool
    added: list[tuple[AnyEntry | None, AnyEntry]]
    changed: list[tuple[AnyEntry, AnyEntry]]
    removed: list[AnyEntry]

    @property
    def is_unchanged(self) -> bool:
        """Whether it stays as it is."""
        return not (self.added or self.changed or self.removed)


class Changes(msgspec.Struct):
    """What becomes of every record of a file."""

    records: list[RecordChange]

    @property
    def unchanged(self) -> int:
        """How many records stay as they are."""
        return sum(record.is_unchanged for record in self.records)

    def counts(self, *, published: bool = True) -> tuple[str, str]:
        """The numbers in words, in Chinese and English; ``published``: it was done, else it would be."""
        new = sum(record.is_new for record in self.records)
        replaced = sum(not record.is_new and bool(record.changed or record.removed) for record in self.records)
        number = len(self.records) - self.unchanged
        extended, gone = number - new - replaced, sum(len(record.removed) for record in self.records)
        done = "已发布" if published else "将发布", "published" if published else "would be published"
        chinese = (
            f"{done[0]} {number:,} 条记录（新增 {new:,}，增加版本 {extended:,}，替换版本 {replaced:,}）；未变 {self.unchanged:,}；删除版本 {gone:,}"
        )
        english = (
            f"{number:,} {'record' if number == 1 else 'records'} {done[1]} ({new:,} new, {extended:,} with a further version, {replaced:,} with versions replaced);"
            f" {self.unchanged:,} unchanged; {gone:,} {'version' if gone == 1 else 'versions'} removed"
        )
        return chinese, english

    def lines(self) -> Iterator[str]:
        """What is new by kind, then every version that is added, changed or removed, in both languages."""
        by_kind: dict[str, list[str]] = {}
        for record in self.records:
            if record.is_new:
                kind, _, name = record.key.partition("/")
                by_kind.setdefault(kind, []).append(name)
        for kind, names in by_kind.items():
            yield f"+ 新增 new: {kind} {len(names):,} ({', '.join(names[:EXAMPLES])}{', …' if len(names) > EXAMPLES else ''})"
        for record in self.records:
            if not record.is_new:
                yield from (f"+ 新版本 further version: {record.key}{_since(new)}: {_differences(old, new)}" for old, new in record.added)
            yield from (f"~ 变更 changed: {record.key}{_since(old)}: {_differences(old, new)}" for old, new in record.changed)
            yield from (f"- 删除 removed: {record.key}{_since(old)}" for old in record.removed)


def changes_of(held: Mapping[str, list[AnyEntry]], registry: Registry, *, replace: bool) -> Changes:
    """What publishing a file's registry changes: its versions beside those ``held`` by ``kind/id``, in place of one valid from the same time.

    ``replace``: in place of all versions of their ids. Records that the file does not hold stay.
    """
    return Changes([_change(key, held.get(key, []), entries, registry, replace=replace) for key, entries in registry.grouped()])


def _change(key: str, held: list[AnyEntry], entries: list[AnyEntry], registry: Registry, *, replace: bool) -> RecordChange:
    def since_ms(entry: AnyEntry) -> int:
        return validity_ms(entry, registry.timezone)[0]

    known, given = {since_ms(entry): entry for entry in held}, {since_ms(entry): entry for entry in entries}
    after = given if replace else known | given
    versions = [after[ms] for ms in sorted(after)]
    before = {ms: next((known[earlier] for earlier in sorted(known, reverse=True) if earlier < ms), None) for ms in given}
    return RecordChange(
        key, versions, not held,
        [(before[ms], entry) for ms, entry in given.items() if ms not in known],
        [(known[ms], entry) for ms, entry in given.items() if ms in known and known[ms] != entry],
        [entry for ms, entry in known.items() if ms not in after],
    )  # fmt: skip


def _since(entry: AnyEntry) -> str:
    return f" ({entry.valid_from} 起 on)" if entry.valid_from else ""


def _differences(old: AnyEntry | None, new: AnyEntry) -> str:
    """The keys that differ, from what to what; all that are given where there is no version before."""
    kind = type(new)
    said = []
    for field, key in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True):
        was, now = getattr(old, field, None), getattr(new, field)
        if was != now and key != "id":
            said.append(f"{key} {_value(was)} → {_value(now)}")
    return "; ".join(said)


def _value(value: Any) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
