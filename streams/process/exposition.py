"""The text of a metrics page. The library writes 60,000 series a second; counters and gauges, of which there can be as many, are written here in a fifth of the time.

What a series is called is made once and kept, and so is its line while its value stays what it is. Everything else, headers and histograms among it, is the library's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite, isnan
from typing import Any

from prometheus_client import Counter, Gauge, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

_ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
END = b"# EOF\n"


class Exposition:
    """The page of some metrics, in OpenMetrics where the caller takes that, else in Prometheus's text format."""

    def __init__(self, collectors: Sequence[Collector]) -> None:
        self._plain = [PlainFamily(collector) for collector in collectors if is_plain(collector)]
        self._others = [collector for collector in collectors if not is_plain(collector)]

    def page(self, accept: str) -> tuple[str, bytes]:
        """Content type and text, by what the caller accepts (the ``Accept`` header)."""
        encode, content_type = choose_encoder(accept)
        text = encode(_Families(metric for other in self._others for metric in other.collect()))
        ended = text.endswith(END)
        headers = (encode(_Families([family.header()])).removesuffix(END) for family in self._plain)
        parts = [text.removesuffix(END), *(header + family.lines() for header, family in zip(headers, self._plain, strict=True))]
        return content_type, b"".join([*parts, END] if ended else parts)


class _Families(Collector):
    """What the library's encoders ask of a registry."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def is_plain(collector: Collector) -> bool:
    """Whether every series of it is a name with labels and one value that somebody has set or counted."""
    return type(collector) in {Counter, Gauge} and bool(collector._labelnames)  # type: ignore[attr-defined]  # noqa: SLF001


class PlainFamily:
    """A counter or gauge with labels; of each series the beginning of its line, its value and its line as last written."""

    def __init__(self, metric: Any) -> None:
        self._metric = metric
        self._name = metric._name + ("_total" if isinstance(metric, Counter) else "")  # noqa: SLF001
        self._known: dict[MetricWrapperBase, tuple[str, float, str]] = {}

    def header(self) -> Metric:
        """The family without its series."""
        return Metric(self._metric._name, self._metric._documentation, self._metric._type)  # noqa: SLF001

    def lines(self) -> bytes:
        """One a series."""
        with self._metric._lock:  # noqa: SLF001
            series = list(self._metric._metrics.items())  # noqa: SLF001
        if len(self._known) > 2 * len(series) + 100:  # what is not shown any more
            self._known.clear()
        lines = []
        for labels, child in series:
            value = child._value.get() if "_child_samples" not in child.__dict__ else _by_function(child)  # noqa: SLF001
            known = self._known.get(child)
            if known is None or known[1] != value or not value:  # 0.0 and -0.0 are equal, and differ
                beginning = self._beginning(labels) if known is None else known[0]
                known = self._known[child] = beginning, value, f"{beginning}{value!r}\n" if isfinite(value) else f"{beginning}{_words(value)}\n"
            lines.append(known[2])
        return "".join(lines).encode()

    def _beginning(self, labels: Sequence[str]) -> str:
        said = ",".join(f'{name}="{value.translate(_ESCAPED)}"' for name, value in sorted(zip(self._metric._labelnames, labels, strict=True)))  # noqa: SLF001
        return f"{self._name}{{{said}}} "


def _by_function(child: Any) -> float:
    """The value that ``set_function`` says; it has put a method of its own there."""
    return float(next(iter(child._child_samples())).value)  # noqa: SLF001


def _words(value: float) -> str:
    return "NaN" if isnan(value) else "+Inf" if value > 0 else "-Inf"
