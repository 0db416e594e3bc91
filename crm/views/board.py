"""The board of a pipeline: cards that are moved by mouse, by keyboard, or by the menu of each card."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.requests import id_of
from accounts.views import RequestOfEmployee
from crm import access, deals
from crm.kinds import DEALS
from crm.models import Deal, Pipeline, Stage
from crm.views.frame import SECTION


@login_required
@never_cache
@require_GET
def board(request: RequestOfEmployee) -> HttpResponse:
    offered = deals.pipelines(request.user.account)
    wanted = request.GET.get("pipeline", "")
    pipeline = next((each for each in offered if str(each.pk) == wanted), None)
    if wanted and pipeline is None:
        raise Http404
    context = {"pipelines": offered, "kind": DEALS, "tab": "board"}
    mine = request.GET.get("mine") == "1"
    return render(
        request, "crm/board.html", SECTION | context | _board(request, pipeline or offered[0], mine)
    )


@login_required
@require_POST
def move(request: RequestOfEmployee, deal_id: int) -> HttpResponse:
    """Into `stage`, above the card `before` (empty: at the end). The page gets the heads of the columns anew."""
    deal = access.get_record(request.user, DEALS, deal_id)
    stage = Stage.objects.filter(
        account_id=request.user.account_id, pk=id_of(request.POST.get("stage", ""))
    ).first()
    if stage is None:
        raise Http404
    assert isinstance(deal, Deal)
    before = request.POST.get("before", "")
    above = (
        Deal.objects.filter(account_id=request.user.account_id, pk=id_of(before)).first() if before else None
    )
    deals.move(deal, stage, before=above, by=request.user)
    if request.headers.get("HX-Request"):
        mine = request.POST.get("mine") == "1"
        return render(request, "crm/_heads.html", _board(request, stage.pipeline, mine))
    messages.success(request, _("“%(deal)s” is in “%(stage)s”.") % {"deal": deal.name, "stage": stage.name})
    return redirect(f"{reverse('crm:board')}?pipeline={stage.pipeline_id}")


def _board(request: RequestOfEmployee, pipeline: Pipeline, mine: bool) -> dict[str, Any]:
    columns = deals.board(pipeline, responsible_id=request.user.pk if mine else None)
    heads = [
        (column, " + ".join(deals.money(amount, currency) for amount, currency in column.sums))
        for column in columns
    ]
    return {"pipeline": pipeline, "columns": heads, "mine": mine, "empty": not any(c.count for c in columns)}


urls = [
    path("deals/board/", board, name="board"),
    path("deals/<int:deal_id>/move/", move, name="move"),
]
