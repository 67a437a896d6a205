"""What ``yicheng up`` says at the end: what was judged, and whether it is what was injected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.report.words import target_label
from deploy.up.progress import Progress
from deploy.up.screen import TARGETS
from deploy.up.verdict import TruthComparison, how_alarms_stood, latest_incidents, read_produced
from streams.policy.policy import Policy
from streams.words.shares import percent
from streams.words.shown import shown

MOST_DIFFERENCES = 20


def summary(policy: Policy, progress: Progress, truth_file: Path, restarts: int) -> Table:
    """The run in a table; ``restarts``: of workers that died."""
    table = Table(title="Yicheng 驿程: summary 汇总", title_justify="left", show_header=False)
    for label, text in _judged(policy, progress):
        table.add_row(label, text)
    if progress.first_incident_s is not None:
        table.add_row("first incident 首个事件", f"{progress.first_incident_s:.1f} s after the command")
    if restarts:
        table.add_row("restarts 重启", str(restarts))
    table.add_row("incidents file 事件文件", shown(progress.sink))
    produced = read_produced(truth_file)
    for rule_id, why in (produced.truth.skipped if produced and produced.truth else {}).items():
        table.add_row("not injected 未注入", shown(f"{rule_id}: {why}"))
    return table


def _judged(policy: Policy, progress: Progress) -> Iterator[tuple[str, str]]:
    """What was judged, and what became of it: label and text."""
    reading = progress.reading
    yield "fixes 轨迹点", ", ".join(f"{name} {number:,}" for name, number in reading.fixes.most_common()) or "0"
    yield "scans 扫描", f"{reading.scans:,}"
    incidents = Counter(d["rule"] for d in latest_incidents(progress.sink).values() if d["state"] != "retracted")
    yield "incidents 事件", shown(", ".join(f"{rule} {number}" for rule, number in sorted(incidents.items()))) or "none 无"
    stood = how_alarms_stood(progress.sink)
    yield "taken back 撤回", f"{stood.count} of 共 {stood.announced} announced 已发布"
    for label, measure in TARGETS.items():
        if measure in reading.ratios:
            target = policy.pack.targets.get(measure)
            said = f" ({target_label(measure, target.value, target.clause, target.by, target.scope)})" if target else ""
            yield label, percent(reading.ratios[measure], target.value if target else None) + said


def print_end(console: Console, report: Path | None, verdict: TruthComparison | None) -> None:
    """Where the report is, if one was written, and what the comparison with the truth came to, if one is known."""
    if report is not None and report.exists():
        console.print(f"report 报告: {shown(report)}", soft_wrap=True)
    if verdict is not None:
        print_verdict(console, verdict)


def print_verdict(console: Console, verdict: TruthComparison) -> None:
    """Whether what was found is the truth, and where it is not."""
    if verdict.holds:
        console.print(
            Text("✓ ", style="green")
            + f"all {verdict.expected} injected violations found and nothing else; {verdict.rates_expected} daily rates equal the truth / "
            f"注入的 {verdict.expected} 起违规全部发现，无误报；{verdict.rates_expected} 项日统计与真值一致",
            soft_wrap=True,
        )
        return
    console.print(Text("✗ ", style="red") + f"{len(verdict.differences)} differences from the truth / 与真值有 {len(verdict.differences)} 处不符:")
    for difference in verdict.differences[:MOST_DIFFERENCES]:
        console.print(f"  {shown(difference)}")
