"""{% load crm %}: what CRM's templates need beyond Django's own."""

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from crm import deals
from crm.models import Deal

register = template.Library()


@register.filter
def money(deal: Deal) -> str:
    return deals.money(deal.amount, deal.currency)


@register.simple_tag
def undo_url(act: str) -> str:
    """Where a toast's "Undo" goes: "deals 7" brings that deal back, "template 7" that template, and
    "exception x.example" puts that one on the list."""
    kind, _blank, number = act.partition(" ")
    if kind == "exception":
        return reverse("crm:exceptions")
    if kind == "template":
        return reverse("crm:template-restore", args=[int(number)])
    return reverse("crm:restore", args=[kind, int(number)])


@register.simple_tag
def undo_field(act: str) -> SafeString:
    """What the form of the undo carries besides."""
    kind, _blank, pattern = act.partition(" ")
    if kind != "exception":
        return SafeString("")
    return format_html('<input type="hidden" name="pattern" value="{}">', pattern)
