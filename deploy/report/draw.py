"""``yicheng report draw``: vehicles, outlets and inspectors drawn at random (双随机、一公开), so that anyone can repeat it; the clause is in the pack's ``figure_clauses``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from deploy.report.figures import document_facts
from streams.errors import BadInput
from streams.policy.claims import figure_clauses
from streams.policy.policy import Policy
from streams.registry.registry import Registry

METHOD = {
    "zh": "抽签值 = SHA-256(种子/类别/编号)，取最小者；检查人员按抽签值 SHA-256(种子/inspector/姓名) 排序，依次轮流分派给抽中的车辆、网点。名单摘要 = 排序后每行一个编号的 SHA-256。",
    "en": "A ticket is SHA-256(seed/kind/id); the lowest are drawn. Inspectors are put in order of SHA-256(seed/inspector/name) and dealt out in turn to the drawn vehicles, "
    "then outlets. A list's hash is SHA-256 of its sorted ids, one a line.",
}


def draw(policy: Policy, registry: Registry, *, seed: str, count: int, on: date, inspectors: Sequence[str] = ()) -> dict[str, Any]:
    """``count`` vehicles and as many outlets of the registry on a date, at random from a seed and from nothing else; an inspector for each, where there are any.

    The order of the registry does not matter, and nobody can add or withdraw a candidate to have another one drawn (``METHOD``).
    ``candidates_sha256`` lets the list be held against the registry later.
    """
    at_ms = policy.days.bounds_ms(on.isoformat())[1] - 1
    valid = registry.valid(at_ms, policy.pack.city.adcode)
    clause, words = figure_clauses(policy.pack).get("draw", (None, None))
    drawn: dict[str, Any] = {"city": policy.pack.city.adcode, "date": on.isoformat(), "document": document_facts(policy, on.isoformat()), "clause": clause, "clause_text": words}
    drawn |= {"seed": seed, "method": METHOD}
    for kind in ("vehicle", "outlet"):
        ids = sorted(entry.id for entry in valid[kind] if getattr(entry, "status", "active") == "active")
        if count > len(ids):
            raise BadInput(f"--count {count}: the registry holds only {len(ids)} {kind}s on {on}")
        drawn[f"{kind}s"] = {**_list(ids), "drawn": [{"id": name, "ticket": ticket} for ticket, name in _tickets(seed, kind, ids)[:count]]}
    if inspectors:
        drawn["inspectors"] = _list(sorted(inspectors))
        order = [name for _, name in _tickets(seed, "inspector", inspectors)]
        for number, row in enumerate([*drawn["vehicles"]["drawn"], *drawn["outlets"]["drawn"]]):
            row["inspector"] = order[number % len(order)]
    return drawn


def _tickets(seed: str, kind: str, names: Sequence[str]) -> list[tuple[str, str]]:
    return sorted((hashlib.sha256(f"{seed}/{kind}/{name}".encode()).hexdigest(), name) for name in names)


def _list(names: Sequence[str]) -> dict[str, Any]:
    return {"candidates": len(names), "candidates_sha256": hashlib.sha256("".join(f"{name}\n" for name in names).encode()).hexdigest()}


def read_inspectors(path: Path) -> list[str]:
    """Names, one a line; empty lines are passed over. ``BadInput`` names a line that repeats one."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"--inspectors {path}: {getattr(error, 'strerror', None) or 'not UTF-8'}; the file holds names, one a line") from None
    seen: dict[str, int] = {}
    for number, name in enumerate(map(str.strip, lines), 1):
        if name in seen:
            raise BadInput(f"{path}:{number}: {name} stands on line {seen[name]} already; two people of one name need something that tells them apart")
        if name:
            seen[name] = number
    if not seen:
        raise BadInput(f"--inspectors {path}: it holds no name; write names, one a line")
    return list(seen)
