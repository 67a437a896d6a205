"""What an import changes of the registry that Kafka holds: records new, versions added, changed and removed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from streams.registry.names import KEYS, NAMES, numbered, value_words
from streams.registry.records import AnyEntry
from streams.registry.registry import Registry, validity_ms
from streams.words.terms import Lang

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

    def lines(self, lang: Lang) -> Iterator[str]:
        """What is new by kind, then every version that is added, changed or removed."""
        by_kind: dict[str, list[str]] = {}
        for record in self.records:
            if record.is_new:
                kind, _, name = record.key.partition("/")
                by_kind.setdefault(kind, []).append(name)
        for kind, names in by_kind.items():
            some = f"{', '.join(names[:EXAMPLES])}{', …' if len(names) > EXAMPLES else ''}"
            yield f"+ 新增：{numbered(kind, len(names), lang)}（{some}）" if lang == "zh" else f"+ new: {numbered(kind, len(names))} ({some})"
        for record in self.records:
            if not record.is_new:
                yield from (_line("+", ("增加版本", "further version"), new, lang, old, new) for old, new in record.added)
            yield from (_line("~", ("变更", "changed"), old, lang, old, new) for old, new in record.changed)
            yield from (_line("-", ("删除", "removed"), old, lang) for old in record.removed)


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


def _line(sign: str, done: tuple[str, str], of: AnyEntry, lang: Lang, old: AnyEntry | None = None, new: AnyEntry | None = None) -> str:
    """What is done with a version of a record, and how it differs from the one before."""
    zh, _, en, _ = NAMES[str(of.__struct_config__.tag)]
    differing = list(_differences(old, new, lang)) if new else []
    if lang == "zh":
        since = f"（{of.valid_from} 起）" if of.valid_from else ""
        return f"{sign} {done[0]}：{zh} {of.id}{since}{'：' if differing else ''}{'；'.join(differing)}"
    since = f" (from {of.valid_from} on)" if of.valid_from else ""
    return f"{sign} {done[1]}: {en} {of.id}{since}{': ' if differing else ''}{'; '.join(differing)}"


def _differences(old: AnyEntry | None, new: AnyEntry, lang: Lang) -> Iterator[str]:
    """What differs, from what to what; all that is given where there is no version before."""
    kind = type(new)
    for field, key in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True):
        was, now = getattr(old, field, None), getattr(new, field)
        if was != now and key != "id":
            yield f"{KEYS[key][lang == 'en']} {value_words(key, was, lang)} → {value_words(key, now, lang)}"
