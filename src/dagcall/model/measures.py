"""What is counted and measured, as plain numbers, and the families in which it is told to others.

A `Family` is one name of the metrics that a server has, with its samples as of one moment: what Prometheus' text and
OTLP are both made of. Names have Prometheus' form; OTLP's are derived from them (`dotted`).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Seconds: upper bounds, from half a millisecond, which is what the quickest call takes."""
SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
"""Of groups: upper bounds."""

Labels = tuple[tuple[str, str], ...]
Kind = Literal["counter", "gauge", "histogram"]


class Histogram:
    """How many values were at most each bound, one count a bucket; the last one is for all that is above."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...] = BUCKETS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    @property
    def count(self) -> int:
        return sum(self.counts)

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def add_all(self, values: list[float]) -> None:
        """Takes a call a bucket, however many values there are. Sorts the list."""
        values.sort()
        self.sum += sum(values)
        before = 0
        for place, bound in enumerate(self.bounds):
            upto = bisect_right(values, bound, before)
            self.counts[place] += upto - before
            if upto == len(values):
                return
            before = upto
        self.counts[-1] += len(values) - before

    def copy(self) -> "Histogram":
        made = Histogram.__new__(Histogram)
        made.bounds, made.counts, made.sum = self.bounds, self.counts[:], self.sum
        return made


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. `samples`: a number for each set of labels, or a histogram."""

    name: str
    kind: Kind
    help: str
    samples: list[tuple[Labels, float | Histogram]] = field(default_factory=list)

    @property
    def unit(self) -> str:
        """As UCUM has it, which OTLP takes; empty: a number."""
        base = self.name.removesuffix("_total")
        return "s" if base.endswith("_seconds") else "By" if base.endswith("_bytes") else ""

    @property
    def dotted(self) -> str:
        """The name as OTLP has it, where units and `total` are no part of it: `dagcall.call_duration`."""
        base = self.name.removesuffix("_total").removesuffix("_seconds").removesuffix("_bytes")
        first, _, rest = base.partition("_")
        return f"{first}.{rest}"


def prometheus_text(families: Iterable[Family]) -> bytes:
    """Version 0.0.4 of Prometheus' text format."""
    lines: list[str] = []
    for family in families:
        name = family.name
        lines.append(f"# HELP {name} {_escaped_help(family.help)}\n# TYPE {name} {family.kind}\n")
        for labels, value in family.samples:
            text = ",".join([f'{label}="{_escaped(one)}"' for label, one in labels])
            if not isinstance(value, Histogram):
                lines.append(f"{name}{{{text}}} {_number(value)}\n" if text else f"{name} {_number(value)}\n")
                continue
            front, total = f"{text}," if text else "", 0
            for bound, count in zip(value.bounds, value.counts, strict=False):
                total += count
                lines.append(f'{name}_bucket{{{front}le="{_number(bound)}"}} {total}\n')
            total += value.counts[-1]
            braced = f"{{{text}}}" if text else ""
            lines.append(f'{name}_bucket{{{front}le="+Inf"}} {total}\n')
            lines.append(f"{name}_sum{braced} {_number(value.sum)}\n{name}_count{braced} {total}\n")
    return "".join(lines).encode()


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _escaped_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
