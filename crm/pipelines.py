"""Admins shape the pipelines: their names and order, their stages, and where deals go when a stage goes.

A pipeline keeps a stage that is open, because new deals begin there, and the company keeps a pipeline.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import Account, Employee
from crm import deals
from crm.models import Colour, Outcome, Pipeline, Stage

MOST_STAGES = 20
MOST_PIPELINES = 20


class CannotShape(Exception):
    """The text is a sentence for the page."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How a stage is to be."""

    name: str
    outcome: str
    colour: str


def stages_of(pipeline: Pipeline) -> list[Stage]:
    return list(pipeline.stages.order_by("position", "pk"))


def create(account: Account, name: str, *, by: Employee) -> Pipeline:
    """With three stages to begin with."""
    found = deals.pipelines(account)
    if len(found) >= MOST_PIPELINES:
        raise CannotShape(_("At most %(n)s pipelines.") % {"n": MOST_PIPELINES})
    clean = _clean(name)
    last = max(each.position for each in found)
    try:
        with transaction.atomic():
            pipeline = Pipeline.objects.create(account=account, name=clean, position=last + 1)
    except IntegrityError:
        raise CannotShape(_("There is a pipeline “%(name)s” already.") % {"name": clean}) from None
    usual = [(_("New"), Outcome.OPEN), (_("Won"), Outcome.WON), (_("Lost"), Outcome.LOST)]
    Stage.objects.bulk_create(
        Stage(account=account, pipeline=pipeline, name=stage, position=position, outcome=outcome)
        for position, (stage, outcome) in enumerate(usual)
    )
    audit.record("crm.pipeline_made", clean, account_id=account.pk, by=by)
    return pipeline


def save(pipeline: Pipeline, name: str, wishes: Mapping[int, Wish], added: str, *, by: Employee) -> None:
    """Rename the pipeline, change its stages (by id) and add one in front of those that end a deal."""
    stages = stages_of(pipeline)
    clean = _clean(name)
    wanted = {stage.pk: _checked(wishes[stage.pk]) for stage in stages if stage.pk in wishes}
    outcomes = [wanted[stage.pk].outcome if stage.pk in wanted else stage.outcome for stage in stages]
    if Outcome.OPEN not in outcomes and not added.strip():
        raise CannotShape(_("A pipeline needs an open stage: new deals begin there."))
    if added.strip() and len(stages) >= MOST_STAGES:
        raise CannotShape(_("At most %(n)s stages.") % {"n": MOST_STAGES})
    try:
        with transaction.atomic():
            Pipeline.objects.filter(pk=pipeline.pk).update(name=clean)
            # Two stages may have exchanged their names.
            for pk in wanted:
                Stage.objects.filter(pk=pk).update(name=f"#{pk}")
            for pk, wish in wanted.items():
                Stage.objects.filter(pk=pk).update(name=wish.name, outcome=wish.outcome, colour=wish.colour)
            if added.strip():
                _add(pipeline, _clean(added))
    except IntegrityError:
        raise CannotShape(_("Two of the names are the same.")) from None
    audit.record("crm.pipeline_changed", clean, account_id=pipeline.account_id, by=by)


def _add(pipeline: Pipeline, name: str) -> None:
    stages = stages_of(pipeline)
    place = next((n for n, stage in enumerate(stages) if stage.outcome != Outcome.OPEN), len(stages))
    made = Stage.objects.create(account_id=pipeline.account_id, pipeline=pipeline, name=name)
    _number([*stages[:place], made, *stages[place:]])


def shift(rows: Sequence[Stage | Pipeline], moved: int, by_places: int) -> None:
    """Reorder: the row with the id `moved` goes so many places up (negative) or down."""
    ordered = list(rows)
    at = next((n for n, row in enumerate(ordered) if row.pk == moved), None)
    if at is None:
        return
    row = ordered.pop(at)
    ordered.insert(max(0, min(len(ordered), at + by_places)), row)
    _number(ordered)


def _number(rows: Sequence[Stage | Pipeline]) -> None:
    for position, row in enumerate(rows):
        type(row)._default_manager.filter(pk=row.pk).update(position=position)


def delete_stage(stage: Stage, *, to: Stage | None, by: Employee) -> None:
    """Its deals, also those in the bin, go `to` another stage, which must be named if there are any."""
    others = [each for each in stages_of(stage.pipeline) if each.pk != stage.pk]
    if not any(each.outcome == Outcome.OPEN for each in others):
        raise CannotShape(_("A pipeline needs an open stage: new deals begin there."))
    _empty([stage], to, by=by)
    stage.delete()
    audit.record("crm.stage_deleted", stage.name, account_id=stage.account_id, by=by)


def delete(pipeline: Pipeline, *, to: Stage | None, by: Employee) -> None:
    """With its stages; its deals go `to` a stage of another one."""
    if not Pipeline.objects.filter(account=pipeline.account).exclude(pk=pipeline.pk).exists():
        raise CannotShape(_("A company keeps one pipeline at least."))
    if to is not None and to.pipeline_id == pipeline.pk:
        raise CannotShape(_("Choose a stage of another pipeline."))
    _empty(stages_of(pipeline), to, by=by)
    pipeline.delete()
    audit.record("crm.pipeline_deleted", pipeline.name, account_id=pipeline.account_id, by=by)


def _empty(stages: Sequence[Stage], to: Stage | None, *, by: Employee) -> None:
    for stage in stages:
        if not stage.deals.exists():
            continue
        if to is None or to.pk == stage.pk:
            raise CannotShape(_("Choose where the deals go."))
        deals.move_all(stage, to, by=by)


def _clean(name: str) -> str:
    clean = " ".join(name.replace("\0", "").split())[:80]
    if not clean:
        raise CannotShape(_("A name, please."))
    return clean


def _checked(wish: Wish) -> Wish:
    if wish.outcome not in Outcome.values or wish.colour not in Colour.values:
        raise CannotShape(_("Choose what it means for a deal to be there."))
    return Wish(_clean(wish.name), wish.outcome, wish.colour)
