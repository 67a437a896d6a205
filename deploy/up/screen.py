"""What ``yicheng up`` shows while it runs: a live screen, or a line now and then where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deploy.up.progress import Progress
from streams.policy.pack import Target
from streams.policy.policy import Policy
from streams.words.shares import percent, target_percent
from streams.words.shown import shown
from streams.words.terms import SCOPES

LINE_EVERY_S = 5.0
QUIET_LINE_EVERY_S = 60.0
"""The same, while nothing new is judged: with ``--stay``, say."""
REDRAWN_HZ = 4
TARGETS = {"electronic waybill 电子运单": "electronic_waybill", "green packaging 绿色包装": "green_packaging"}


def plain_console(**options: Any) -> Console:
    """A console on which no text of data is markup."""
    return Console(markup=False, emoji=False, highlight=False, **options)


def _aim(target: Target | None) -> str:
    """A target, and whom it is about where that is not everybody."""
    if target is None or target.scope is None:
        return target_percent(target.value if target else None)
    return f"{target_percent(target.value)} {SCOPES[target.scope].zh} {SCOPES[target.scope].en}"


class Screen:
    """Draws how far a run has come; all that data have a part in is shown harmlessly."""

    def __init__(self, console: Console, policy: Policy, progress: Progress) -> None:
        self.console, self.policy, self.progress = console, policy, progress
        self._line_s = 0.0
        self._told = (0, 0)

    @contextmanager
    def live(self) -> Iterator[Callable[[str], None]]:
        """Show progress while the context lasts; what it yields brings the screen up to date, and is told where everything is."""
        if not self.console.is_terminal:
            yield self._print_line_when_due
            return
        with Live(console=self.console, refresh_per_second=REDRAWN_HZ, transient=True) as live:
            yield lambda addresses: live.update(self.picture(addresses))

    def _print_line_when_due(self, _: str) -> None:
        now = (self.progress.reading.fixes.total(), self.progress.reading.opened.total())
        is_quiet = now == self._told != (0, 0)
        if time.monotonic() - self._line_s > (QUIET_LINE_EVERY_S if is_quiet else LINE_EVERY_S):
            self._line_s, self._told = time.monotonic(), now
            self.console.print(self.line(), soft_wrap=True)

    def line(self) -> str:
        """Progress in a line."""
        progress, reading = self.progress, self.progress.reading
        newest = progress.latest[-1] if progress.latest else "no incident yet"
        fixes = f"{reading.fixes.total():>8} fixes  {progress.fixes_per_second:6.0f}/s"
        return f"{progress.elapsed_s:5.0f} s  {fixes}  lag {reading.lag}  {reading.opened.total()} incidents  {newest}"

    def picture(self, addresses: str) -> Group:
        """Progress on a screen."""
        city = self.policy.pack.city
        head = Text(shown(f" Yicheng 驿程 · {city.name_zh} {city.name_en} · {self.policy.name} "), style="bold reverse")
        return Group(head, self._flow(), self._rule_table(), self._rate_table(), self.newest_incidents(), Text(addresses, style="dim"))

    def _flow(self) -> Table:
        reading = self.progress.reading
        flow = Table.grid(padding=(0, 3))
        flow.add_row("fixes judged 轨迹点", f"{reading.fixes.total():,}", "per second 每秒", f"{self.progress.fixes_per_second:,.0f}")
        flow.add_row("scans 扫描", f"{reading.scans:,}", "lag 积压", f"{reading.lag:,}")
        return flow

    def _rule_table(self) -> Table:
        reading = self.progress.reading
        table = Table("rule 规则", "open 未结", "opened 累计", title="incidents 事件", title_justify="left")
        for rule in dict.fromkeys(rule.rule for rule in self.policy.pack.rules):
            table.add_row(rule, str(reading.open[rule]), str(reading.opened[rule]))
        return table

    def _rate_table(self) -> Table:
        table = Table("rate 比率", "today 当日", "target 目标", title="parcels 快件", title_justify="left")
        for label, measure in TARGETS.items():
            target, value = self.policy.pack.targets.get(measure), self.progress.reading.ratios.get(measure)
            said, style = "–" if value is None else percent(value, target.value if target else None), ""
            if target and value is not None and target.scope is None:  # the rate is the whole city's
                style = "green" if value >= target.value else "red"
            table.add_row(label, Text(said, style=style), _aim(target))
        return table

    def newest_incidents(self) -> Group:
        """The newest incidents, a line each."""
        return Group(Text("latest 最新", style="bold"), *(Text(line, overflow="ellipsis", no_wrap=True) for line in self.progress.latest))
