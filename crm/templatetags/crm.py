"""{% load crm %}: what CRM's templates need beyond Django's own."""

from django import template
from django.urls import reverse

from crm.models import Deal
from crm.views import facts

register = template.Library()


@register.filter
def money(deal: Deal) -> str:
    return facts.money(deal.amount, deal.currency)


@register.simple_tag
def undo_url(act: str) -> str:
    """Where a toast's "Undo" goes: "deals 7" brings that deal back from the bin."""
    kind, _blank, number = act.partition(" ")
    return reverse("crm:restore", args=[kind, int(number)])
