"""What the console notices of the pipeline as a whole: records that wait to be judged, workers that stand still, fixes that are refused, a clock that is behind. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

Words = dict[str, str]

STANDS_STILL_MS = 30_000
"""Where records wait and none is judged for so long, no worker is at work."""
CLOCK_BEHIND_MS = 30_000
REFUSED_OVER_MS, REFUSED_LEAST, REFUSED_SHARE = 60_000, 20, 0.5
NOT_ASKED: Words = {"zh": "尚未查询", "en": "not asked yet"}
REPLAYED: Words = {"zh": "这是回放，没有需要处理的数据", "en": "a recorded day is replayed; nothing waits to be judged"}
NO_ANSWER: Words = {"zh": "Kafka 没有应答", "en": "Kafka does not answer"}
FAILED: Words = {"zh": "查询出错，详情见控制台日志", "en": "asking failed; the console's log says why"}


class Signs:
    """Signs of what is amiss; times are those of this machine's clock (ms)."""

    def __init__(self) -> None:
        self.waiting: int | None = None
        """Records of all inputs that no worker has judged yet; None: not known, ``unknown`` says why."""
        self.unknown: Words | None = NOT_ASKED
        self._judged: int | None = None
        self._still_since_ms: int | None = None
        self._is_still = False
        self._behind_ms = 0
        self._entered: deque[tuple[int, int, int]] = deque()

    def counted(self, group: str, ends: Mapping[Any, int], committed: Mapping[Any, int], at_ms: int) -> None:
        """Take over where each partition of the inputs ends, and up to where the workers' group has judged it."""
        waiting = sum(max(0, end - committed.get(partition, 0)) for partition, end in ends.items())
        judged = sum(committed.values())
        if not waiting or judged != self._judged or self._still_since_ms is None:
            self._still_since_ms = at_ms
        self._judged = judged
        self._is_still = waiting > 0 and at_ms - self._still_since_ms >= STANDS_STILL_MS
        nobody = {"zh": f"消费组 {group} 还没有处理过任何数据", "en": f"no worker of the group {group} has judged anything yet"}
        self.waiting, self.unknown = (waiting, None) if committed else (None, nobody)

    def not_counted(self, why: Words) -> None:
        """How many wait cannot be said now."""
        self.waiting, self.unknown, self._judged, self._still_since_ms, self._is_still = None, why, None, None, False

    def heard(self, stamp_ms: int, at_ms: int) -> None:
        """The brokers wrote down that a record arrived then, and it is read now: their clock cannot be ahead of a right one."""
        self._behind_ms = max(0, stamp_ms - at_ms)

    def entered(self, number: int, refused: int, at_ms: int) -> None:
        """So many fixes were read, and so many of them were refused."""
        self._entered.append((at_ms, number, refused))
        while at_ms - self._entered[0][0] > REFUSED_OVER_MS:
            self._entered.popleft()

    def lag(self) -> dict[str, Any]:
        """The figure above the page: records that wait, whether nothing is judged, and why it is not known."""
        return {"records": self.waiting, "is_still": self._is_still, "unknown": self.unknown}

    def warning(self) -> Words | None:
        """What an operator has to know first; None: nothing."""
        if self._is_still:
            zh, en = ("记录", "all records") if self.waiting is None else (f"{self.waiting:,} 条记录", f"{self.waiting:,} records")
            return {
                "zh": f"没有 worker 在处理数据：{zh}在等待，定位仍在更新，但不会产生新的事件；请检查或运行 ./yicheng worker",
                "en": f"No worker is judging: {en} wait; positions still move, but no new incidents come. Look after it, or run ./yicheng worker",
            }
        if self._behind_ms > CLOCK_BEHIND_MS:
            seconds = round(self._behind_ms / 1000)
            return {
                "zh": f"本机时钟比 Kafka 慢 {seconds} 秒；请校准时钟（timedatectl set-ntp true），否则“多久以前”会有误差。",
                "en": f"The clock of this machine is {seconds} s behind Kafka's; set it right (timedatectl set-ntp true), or what is said of how long ago is wrong.",
            }
        number, refused = (sum(entry[place] for entry in self._entered) for place in (1, 2))
        if number >= REFUSED_LEAST and refused / number > REFUSED_SHARE:
            return {
                "zh": f"最近一分钟的 {number:,} 条定位中有 {refused:,} 条无法读取或不合理（例如时间晚于 Kafka 的时钟），地图上看不到；请校准时钟，并运行 ./yicheng dead list 查看原因。",
                "en": f"{refused:,} of the last minute's {number:,} fixes cannot be read or are implausible (such as a time ahead of Kafka's clock), so the map does not show them; set the clocks right, and see ./yicheng dead list.",
            }
        return None
