"""Brings the published rows into the database, and changes none that is there."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from plans.catalogue import CATALOGUE, Published
from plans.models import PlanLimits


@dataclass(slots=True)
class Loaded:
    """What `load_catalogue` found: how many rows it added, how many were there, and which of those differ."""

    added: int = 0
    kept: int = 0
    differing: list[str] = field(default_factory=list)


def load_catalogue(rows: Iterable[Published] = CATALOGUE) -> Loaded:
    """Add the rows that are missing. A row that exists is an operator's and stays, whatever its numbers."""
    loaded = Loaded()
    for row in rows:
        numbers = asdict(row.limits)
        key = {name: numbers.pop(name) for name in ("plan", "effective_from")}
        stored, added = PlanLimits.objects.get_or_create(
            **key, defaults={**numbers, "source": row.source, "reading": row.reading}
        )
        loaded.added += added
        loaded.kept += not added
        loaded.differing += _differences(stored, numbers)
    return loaded


def _differences(stored: PlanLimits, published: dict[str, object]) -> list[str]:
    return [
        f"{stored}: {name} is {_said(getattr(stored, name))}, published is {_said(number)}"
        for name, number in published.items()
        if getattr(stored, name) != number
    ]


def _said(number: object) -> str:
    return "unlimited" if number is None else str(number)
