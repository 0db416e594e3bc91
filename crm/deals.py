"""Pipelines, their stages, and deals moving through them."""

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, Max, Min, Sum
from django.utils import formats
from django.utils.translation import gettext as _

from accounts.models import Account, Employee
from crm import activities
from crm.models import Deal, Outcome, Pipeline, Stage

CARDS = 50  # a column shows so many; the rest is in the list


def money(amount: Decimal | None, currency: str) -> str:
    if amount is None:
        return ""
    whole = amount == amount.to_integral_value()
    number = formats.number_format(amount, 0 if whole else 2, force_grouping=True)
    return f"{number} {currency}"


def pipelines(account: Account) -> list[Pipeline]:
    """All of the company's; the first is made when somebody asks for the first time."""
    found = list(Pipeline.objects.filter(account=account).order_by("position", "pk"))
    return found or [_first_pipeline(account)]


def _first_pipeline(account: Account) -> Pipeline:
    pipeline, made = Pipeline.objects.get_or_create(account=account, name=_("Sales"))
    if made:
        names = [_("New"), _("In talks"), _("Offer sent"), _("Contract")]
        stages = [(name, Outcome.OPEN) for name in names] + [
            (_("Won"), Outcome.WON),
            (_("Lost"), Outcome.LOST),
        ]
        Stage.objects.bulk_create(
            Stage(account=account, pipeline=pipeline, name=name, position=position, outcome=outcome)
            for position, (name, outcome) in enumerate(stages)
        )
    return pipeline


@dataclass(frozen=True, slots=True)
class Column:
    """A stage on the board. The cards may be fewer than `count`."""

    stage: Stage
    deals: list[Deal]
    count: int
    sums: list[tuple[Decimal, str]]

    @property
    def more(self) -> int:
        return self.count - len(self.deals)


def board(pipeline: Pipeline, *, responsible_id: int | None = None) -> list[Column]:
    columns = []
    for stage in pipeline.stages.order_by("position", "pk"):
        deals = Deal.objects.filter(stage=stage, binned_at=None)
        if responsible_id:
            deals = deals.filter(responsible_id=responsible_id)
        shown = deals.select_related("contact", "company", "responsible").order_by("position", "pk")
        totals = deals.values("currency").annotate(count=Count("pk"), sum=Sum("amount")).order_by("currency")
        rows = list(totals)
        columns.append(
            Column(
                stage=stage,
                deals=list(shown[:CARDS]),
                count=sum(row["count"] for row in rows),
                sums=[(row["sum"], row["currency"]) for row in rows if row["sum"]],
            )
        )
    return columns


def on_top(stage: Stage) -> float:
    """The position above every card of the stage."""
    lowest = Deal.objects.filter(stage=stage).aggregate(lowest=Min("position"))["lowest"]
    return (lowest or 0.0) - 1


def move(deal: Deal, stage: Stage, *, before: Deal | None, by: Employee) -> None:
    """Put the card into a stage, above the card `before`, or at the end; another stage is a line of its history."""
    if deal.stage_id != stage.pk:
        tell_stage(deal, deal.stage, stage, by=by)
    deal.stage = stage
    deal.position = _between(stage, before, deal)
    deal.save(update_fields=["stage", "position"])


def move_all(stage: Stage, to: Stage, *, by: Employee) -> None:
    """Every deal of a stage, those in the bin too, to the end of another, in their order; each is told of it."""
    highest = Deal.objects.filter(stage=to).aggregate(highest=Max("position"))["highest"] or 0.0
    for number, deal in enumerate(Deal.objects.filter(stage=stage).order_by("position", "pk"), start=1):
        tell_stage(deal, stage, to, by=by)
        Deal.objects.filter(pk=deal.pk).update(stage=to, position=highest + number)


def tell_stage(deal: Deal, before: Stage, after: Stage, *, by: Employee) -> None:
    words = {"before": before.name, "after": after.name}
    activities.changed(deal, _("Moved from “%(before)s” to “%(after)s”") % words, by=by)


def _between(stage: Stage, before: Deal | None, moving: Deal) -> float:
    others = Deal.objects.filter(stage=stage).exclude(pk=moving.pk)
    if before is None or before.stage_id != stage.pk:
        highest = others.aggregate(highest=Max("position"))["highest"]
        return (highest or 0.0) + 1
    above = others.filter(position__lt=before.position).aggregate(above=Max("position"))["above"]
    if above is None:
        return before.position - 1
    middle = (above + before.position) / 2
    if above < middle < before.position:
        return float(middle)
    # The numbers between two neighbours are used up: every card gets a whole number again.
    _renumber(stage)
    before.refresh_from_db(fields=["position"])
    return before.position - 0.5


def _renumber(stage: Stage) -> None:
    for number, pk in enumerate(
        Deal.objects.filter(stage=stage).order_by("position", "pk").values_list("pk", flat=True)
    ):
        Deal.objects.filter(pk=pk).update(position=number)
