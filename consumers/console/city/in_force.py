"""Which version of a city's pack counts at an instant, which are still to come, and what is said where none counts. Pure."""

from __future__ import annotations

from streams.policy.policy import Policies, Policy
from streams.words.terms import date_words


def shown_policy(policies: Policies | None, now_ms: int) -> Policy | None:
    """The version that counts at an instant; where none does the newest, and ``nothing_judged`` says so."""
    return (policies.at(now_ms) or policies.newest) if policies else None


def still_to_come(policies: Policies, now_ms: int) -> list[dict[str, str]]:
    """A sentence for each version that will count later, in both languages."""
    return [
        {"zh": f"另有一个版本自{date_words(begins, 'zh')}起适用。", "en": f"A further version counts from {date_words(begins, 'en')}."}
        for policy in policies.versions
        if policy.valid_from_ms > now_ms and (begins := policy.pack.valid_from)
    ]


def nothing_judged(policies: Policies | None, name: str, now_ms: int) -> dict[str, str] | None:
    """Why nothing is judged at an instant: no version is published, or none counts then; None: one does."""
    if policies is None:
        return {"zh": f"尚未发布政策包“{name}”，因此没有区域；请运行 ./yicheng policy publish {name}", "en": f"no pack “{name}” is published, so there are no zones; run ./yicheng policy publish {name}"}
    if policies.at(now_ms) is not None:
        return None
    over = max((policy for policy in policies.versions if policy.valid_until_ms <= now_ms), key=lambda policy: policy.valid_until_ms, default=None)
    ended, begins = over and over.pack.valid_until, next((policy.pack.valid_from for policy in policies.versions if policy.valid_from_ms > now_ms), None)
    said_zh = [f"适用至{date_words(ended, 'zh')}止" if ended else "", f"自{date_words(begins, 'zh')}起适用" if begins else ""]
    said_en = [f"counted until {date_words(ended, 'en')}" if ended else "", f"counts from {date_words(begins, 'en')}" if begins else ""]
    return {"zh": f"政策包“{name}”{'，'.join(filter(None, said_zh))}；目前不作判定。", "en": f"The pack “{name}” {' and '.join(filter(None, said_en))}; nothing is judged now."}
