"""Announced interruptions of a report against a count hour by hour, of notices that are extended, moved and withdrawn."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import Oracle

from deploy.report.enterprises import interruptions
from streams.registry.records import decode_entry
from streams.registry.registry import Registry

POLICIES = Path(__file__).parents[2] / "streams" / "policies"
HOUR_MS = 3_600_000
START_MS = 1_782_403_200_000  # midnight in Shanghai
HOURS = range(-12, 36)


def text(hour):
    return f"2026-06-{26 + hour // 24}T{hour % 24:02}:00:00+08:00"


hours = st.integers(-10, 34)


@st.composite
def versions(draw):
    """Versions of one notice, of different beginnings."""
    found = []
    for since in draw(st.lists(st.one_of(st.none(), hours), unique=True, min_size=1, max_size=4)):
        begins, lasts, until = draw(hours), draw(st.integers(0, 8)), draw(st.one_of(st.none(), st.integers(1, 30)))
        said = {"valid_from": since, "from": begins, "until": begins + lasts, "valid_until": None if until is None else (since or 0) + until, "filed_at": draw(st.one_of(st.none(), hours))}
        found.append({"kind": "notice", "id": "1", "subject": draw(st.sampled_from(["enterprise/a", "enterprise/b"])), **{key: text(hour) for key, hour in said.items() if hour is not None}})
    return found


def counted(oracle):
    """By enterprise: numbers announced and announced too late, and the announced hours of the day: hour by hour, by the version that counts then."""
    found: dict[str, list[int]] = {}
    for subject in ("enterprise/a", "enterprise/b"):
        covering = {}
        for hour in HOURS:
            t = START_MS + hour * HOUR_MS
            for notice in oracle.records["notice"]:
                if notice["subject"] == subject and oracle.counts(notice, t) and oracle.bound(notice["from"], False) <= t < oracle.bound(notice["until"], True):
                    covering[hour] = notice
        begins = [hour for hour in covering if hour - 1 not in covering]
        for first, after in pairwise([*begins, HOURS.stop]):
            together = [hour for hour in covering if first <= hour < after]
            in_time = [hour for hour in together if 0 <= hour < 24 and oracle.filed(covering[hour], START_MS + first * HOUR_MS)]
            if any(0 <= hour < 24 for hour in together):
                row = found.setdefault(subject.removeprefix("enterprise/"), [0, 0, 0])
                row[0] += bool(in_time)
                row[1] += not in_time
                row[2] += len(in_time)
    return found


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("registry") / "registry.jsonl"


@given(said=versions())
def test_announced_interruptions_are_those_that_the_versions_in_force_announce(file, said):
    file.write_text("".join(f"{json.dumps(row)}\n" for row in said), "utf-8")
    registry = Registry(ZoneInfo("Asia/Shanghai"))
    registry.add(decode_entry(json.dumps(row).encode()) for row in said)
    rows = interruptions(registry, (), (START_MS, START_MS + 24 * HOUR_MS))
    found = {row["enterprise_id"]: [row["announced"], row["late_notices"], row["announced_hours"]] for row in rows if row["enterprise_id"] != "*"}
    assert found == counted(Oracle(POLICIES / "hohhot-2019.yaml", file))
