"""YAML as people write it: no aliases (a few lines of them can stand for gigabytes), no keys but words, no deep nesting, no NUL and no half characters."""

from __future__ import annotations

from typing import Any

import yaml

from streams.errors import BadInput
from streams.wire.ids import NO_TEXT

Path = tuple[Any, ...]
"""The keys and positions that lead to a value."""
DEEPEST = 32
"""Levels of nesting; a policy pack has six."""
_ABSENT = {"", "~", "null", "Null", "NULL"}


class _PlainLoader(yaml.BaseLoader):
    """Composes nodes and refuses what the module's first line says, where it begins."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _refused(f"the alias *{event.anchor} is not followed here; write the value out", event.start_mark)
        if isinstance(parent, yaml.MappingNode) and index is None and not isinstance(event, yaml.ScalarEvent):
            raise _refused("a key is a word, not a list or a mapping", event.start_mark)
        if isinstance(event, yaml.ScalarEvent) and (wrong := NO_TEXT.search(event.value)):
            raise _refused(f"a text with the character U+{ord(wrong[0]):04X} cannot be read", event.start_mark)
        if self.depth >= DEEPEST:
            raise _refused(f"nested more than {DEEPEST} levels deep", event.start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def _refused(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def compose_plain(text: str) -> yaml.Node | None:
    """The nodes of a YAML text, every scalar as written; None for an empty one.

    Raises ``yaml.MarkedYAMLError``, whose ``problem`` is one line and whose ``problem_mark`` tells the line.
    """
    try:
        return yaml.compose(text, _PlainLoader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position)
        code = error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")
        mark = yaml.Mark("", error.position, line, 0, None, 0)
        raise _refused(f"the character U+{code:04X} is not allowed", mark) from None


def is_absent(node: yaml.Node) -> bool:
    """Whether a node says that nothing is there: null, ~ or an empty value, not in quotes."""
    return isinstance(node, yaml.ScalarNode) and node.style is None and node.value in _ABSENT


def read_yaml(text: str, where: str) -> tuple[Any, dict[Path, int]]:
    """What a YAML text holds, every scalar as text (so ``20:00`` is no number), and the line of every key and value.

    Null and ``~`` are absent: their keys are left out. ``BadInput`` names the line, also where a key is given twice.
    """
    lines: dict[Path, int] = {}
    try:
        node = compose_plain(text.removeprefix("\ufeff"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise BadInput(f"{where}:{mark.line + 1 if mark else 1}: not YAML: {getattr(error, 'problem', error)}") from None
    return (None if node is None else _walk(node, (), lines, where)), lines


def _walk(node: Any, path: Path, lines: dict[Path, int], where: str) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines, where)
    if isinstance(node, yaml.SequenceNode):
        given = [child for child in node.value if not is_absent(child)]
        return [_walk(child, (*path, index), lines, where) for index, child in enumerate(given)]
    return node.value


def _mapping(node: Any, path: Path, lines: dict[Path, int], where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    given: dict[str, int] = {}
    for key_node, value_node in node.value:
        line, key = key_node.start_mark.line + 1, key_node.value
        lines[(*path, key)] = line
        if key in given:
            first = "" if given[key] == line else f" (first in line {given[key]})"
            raise BadInput(f"{where}:{line}: key {key!r} is given twice{first}")
        given[key] = line
        if not is_absent(value_node):
            found[key] = _walk(value_node, (*path, key), lines, where)
    return found
