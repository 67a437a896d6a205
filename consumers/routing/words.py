"""Why an incident goes where it goes: routes explained, each line in Chinese and then in English. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from consumers.incident_events import IncidentEvent
from consumers.messages.facts import KINDS
from consumers.routing.route import FIELDS, Route, hold
from streams.clock import local_datetime
from streams.words.basis import Words
from streams.words.shown import shown
from streams.words.terms import duration_words

if TYPE_CHECKING:
    from consumers.routing.routes import Destination, Routing

_HELD = {
    "debounce": Words("去抖 {debounce_zh}", "debounce {debounce_en}"),
    "digest_at": Words("按时汇总 {digest}", "digest at {digest}"),
    "group_wait": Words("合并等待，至多 {wait_zh}", "grouped for at most {wait_en}"),
    "mute": Words("免打扰日历 {mute}", "muted by {mute}"),
}


def explained(routing: Routing, event: IncidentEvent, now_ms: int) -> Iterator[str]:
    """What each route says to an event that comes at an instant (ms), up to the one that decides; then whether anybody is told."""
    for words in _explained(routing, event, now_ms):
        yield shown(words.zh)
        yield shown(words.en)


def _explained(routing: Routing, event: IncidentEvent, now_ms: int) -> Iterator[Words]:
    incident, kind = event.incident, event.kind
    yield Words(
        f"事件 {event.event_id}（{KINDS[kind].zh}，{kind}），{_clock(now_ms, routing.timezone)}",
        f"event {event.event_id} ({KINDS[kind].en}, {kind}), {_clock(now_ms, routing.timezone)}",
    )
    chosen = routing.destinations(event, now_ms)
    decided = False
    for route in routing.routes:
        if decided:
            yield Words(f"路由 {route.name}：未考虑，前面的路由已决定", f"route {route.name}: not asked, an earlier route has decided")
        elif route.mismatch(incident) is not None:
            yield _mismatch(route, event)
        else:
            yield Words(f"路由 {route.name}：匹配", f"route {route.name}: matches")
            yield from _told(routing, route, event, now_ms, chosen)
            decided = not route.continues
    if not chosen:
        yield Words("结果：不通知任何人", "outcome: nobody is told")
    else:
        sinks = list(dict.fromkeys(each.sink for each in chosen))
        yield Words(f"结果：{'、'.join(sinks)}", f"outcome: {', '.join(sinks)}")


def _mismatch(route: Route, event: IncidentEvent) -> Words:
    field = route.mismatch(event.incident) or ""
    wanted, found = sorted(route.wanted[field]), FIELDS[field](event.incident)
    return Words(
        f"路由 {route.name}：不匹配，{field} 要求 {' 或 '.join(wanted)}，实际 {'、'.join(found) or '无'}",
        f"route {route.name}: does not match, {field} is to be {' or '.join(wanted)}, and is {', '.join(found) or 'not there'}",
    )


def _told(routing: Routing, route: Route, event: IncidentEvent, now_ms: int, chosen: list[Destination]) -> Iterator[Words]:
    """Whom a route that matches tells, when, and what holds that back."""
    kind = event.kind
    if kind not in route.transitions:
        yield Words(f"    不通知：该路由只通知 {'、'.join(route.transitions)}", f"    tells nobody: it tells only {', '.join(route.transitions)}")
        return
    if event.synthetic and (real := [name for name in dict.fromkeys([*route.to, *(to for step in route.escalate for to in step.to)]) if name in routing.sinks and routing.sinks[name].real]):
        yield Words(f"    不发往 {'、'.join(real)}：演练事件不发往真实警方", f"    not to {', '.join(real)}: nothing synthetic reaches real police")
    by = hold(route, event.incident, now_ms, kind, routing.timezone).by
    for each in routing.of_route(route, event, now_ms):
        yield _destination(each, routing, route, by if each.step == 0 else (), already=each not in chosen)
    if route.escalate and kind == "opened" and not any(each.step for each in routing.of_route(route, event, now_ms)):
        yield Words("    不升级：事件太早，或无可通知的对象", "    not escalated: it was opened too long ago, or nobody is left to tell")


def _destination(each: Destination, routing: Routing, route: Route, by: tuple[str, ...], *, already: bool) -> Words:
    values = {
        "debounce_zh": duration_words(route.debounce_ms, "zh"), "debounce_en": duration_words(route.debounce_ms, "en"),
        "wait_zh": duration_words(route.group_wait_ms, "zh"), "wait_en": duration_words(route.group_wait_ms, "en"),
        "digest": ", ".join(f"{minute // 60:02}:{minute % 60:02}" for minute in route.digest_minutes), "mute": ", ".join(route.mute),
    }  # fmt: skip
    held = [Words(_HELD[key].zh.format(**values), _HELD[key].en.format(**values)) for key in by]
    if each.until_answered:
        held.append(Words(f"升级第 {each.step} 步，有人应答则取消", f"escalation {each.step}, dropped once somebody has answered"))
    if each.only_if_told:
        held.append(Words("仅当此前已通知过", "only if it was told before"))
    if already:
        held.append(Words("前面的路由已通知，不再重复", "told by an earlier route already, so not again"))
    at = _clock(each.due_ms, routing.timezone)
    return Words(
        f"    {at} 发往 {each.sink}" + (f"（{'；'.join(words.zh for words in held)}）" if held else ""),
        f"    {at} to {each.sink}" + (f" ({'; '.join(words.en for words in held)})" if held else ""),
    )


def _clock(at_ms: int, timezone: ZoneInfo) -> str:
    return f"{local_datetime(at_ms, timezone):%Y-%m-%d %H:%M:%S %z}"
