"""Admins shape the pipelines: one page with all of them, and a question before a stage or a pipeline goes."""

from collections.abc import Callable

from django.contrib import messages
from django.db.models import Count, QuerySet
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.requests import id_of, id_or_none
from accounts.views import RequestOfEmployee, admin_required
from crm import access, deals, pipelines
from crm.models import Colour, Deal, Outcome, Stage
from crm.pipelines import CannotShape, Wish
from crm.views.frame import SECTION


@admin_required
@never_cache
@require_GET
def every(request: RequestOfEmployee) -> HttpResponse:
    found = deals.pipelines(request.user.account)
    held = dict(
        Deal.objects.filter(account_id=request.user.account_id, binned_at=None)
        .values_list("stage")
        .annotate(n=Count("pk"))
    )
    shown = [
        (pipeline, [(stage, held.get(stage.pk, 0)) for stage in pipelines.stages_of(pipeline)])
        for pipeline in found
    ]
    context = {"shown": shown, "outcomes": Outcome.choices, "colours": Colour.choices, "tab": "board"}
    return render(request, "crm/pipelines.html", SECTION | context)


@admin_required
@require_POST
def create(request: RequestOfEmployee) -> HttpResponse:
    name = request.POST.get("name", "")
    return _tried(
        request,
        lambda: pipelines.create(request.user.account, name, by=request.user),
        _("The pipeline is made; name its stages."),
    )


@admin_required
@require_POST
def save(request: RequestOfEmployee, pipeline_id: int) -> HttpResponse:
    """The whole card at once; "up" and "down" save it, too, and move a stage, or the pipeline (`stage` empty)."""
    pipeline = access.get_pipeline(request.user, pipeline_id)
    form = request.POST

    def change() -> None:
        pipelines.save(pipeline, form.get("name", ""), _wishes(form), form.get("added", ""), by=request.user)
        for verb, places in (("up", -1), ("down", 1)):
            if verb in form:
                pipelines.shift(pipelines.stages_of(pipeline), id_of(form[verb]), places)
            if f"pipeline-{verb}" in form:
                pipelines.shift(deals.pipelines(request.user.account), pipeline.pk, places)

    return _tried(request, change, _("Saved."))


def _wishes(form: QueryDict) -> dict[int, Wish]:
    return {
        id_of(pk): Wish(
            form.get(f"name-{pk}", ""), form.get(f"outcome-{pk}", ""), form.get(f"colour-{pk}", "")
        )
        for pk in form.getlist("stages")[: pipelines.MOST_STAGES]
    }


@admin_required
@never_cache
@require_http_methods(["GET", "POST"])
def delete_stage(request: RequestOfEmployee, stage_id: int) -> HttpResponse:
    stage = access.get_stage(request.user, stage_id)
    targets = Stage.objects.filter(account_id=request.user.account_id).exclude(pk=stage.pk)
    if request.method == "POST":
        to = _target(request)
        sentence = _("The stage “%(name)s” is gone.") % {"name": stage.name}
        return _tried(request, lambda: pipelines.delete_stage(stage, to=to, by=request.user), sentence)
    return _ask(request, stage.name, _held([stage]), _in_order(targets), stage.pipeline_id)


@admin_required
@never_cache
@require_http_methods(["GET", "POST"])
def delete(request: RequestOfEmployee, pipeline_id: int) -> HttpResponse:
    pipeline = access.get_pipeline(request.user, pipeline_id)
    targets = Stage.objects.filter(account_id=request.user.account_id).exclude(pipeline=pipeline)
    if request.method == "POST":
        to = _target(request)
        sentence = _("The pipeline “%(name)s” is gone.") % {"name": pipeline.name}
        return _tried(request, lambda: pipelines.delete(pipeline, to=to, by=request.user), sentence)
    return _ask(request, pipeline.name, _held(pipelines.stages_of(pipeline)), _in_order(targets), None)


def _ask(
    request: RequestOfEmployee, name: str, held: int, targets: list[Stage], pipeline_id: int | None
) -> HttpResponse:
    """`held` counts the deals in the bin, too: they may come back. Stages of the same pipeline come first."""
    ordered = sorted(targets, key=lambda stage: stage.pipeline_id != pipeline_id)
    context = {
        "name": name,
        "held": held,
        "targets": ordered,
        "of_a_stage": pipeline_id is not None,
        "tab": "board",
    }
    return render(request, "crm/pipeline_delete.html", SECTION | context)


def _held(stages: list[Stage]) -> int:
    return Deal.objects.filter(stage__in=stages).count()


def _in_order(stages: QuerySet[Stage]) -> list[Stage]:
    return list(
        stages.select_related("pipeline").order_by("pipeline__position", "pipeline", "position", "pk")
    )


def _target(request: RequestOfEmployee) -> Stage | None:
    number = id_or_none(request.POST.get("to"))
    return None if number is None else access.get_stage(request.user, number)


def _tried(request: RequestOfEmployee, change: Callable[[], object], sentence: str) -> HttpResponse:
    """Back to the page; a refusal is a sentence there."""
    try:
        change()
    except CannotShape as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, sentence)
    return redirect("crm:pipelines")


urls = [
    path("pipelines/", every, name="pipelines"),
    path("pipelines/new/", create, name="pipeline-new"),
    path("pipelines/<int:pipeline_id>/", save, name="pipeline-save"),
    path("pipelines/<int:pipeline_id>/delete/", delete, name="pipeline-delete"),
    path("stages/<int:stage_id>/delete/", delete_stage, name="stage-delete"),
]
