"""The field in which people choose a time zone, of which there are six hundred."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.forms.utils import flatatt
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from accounts.models import time_zones


class _LongSelect(forms.Select):
    """Written line by line: Django renders a template for each of them, which takes a quarter of a second."""

    def render(
        self,
        name: str,
        value: object,
        attrs: Mapping[str, Any] | None = None,
        renderer: object = None,  # noqa: ARG002
    ) -> SafeString:
        lines = (
            (zone, SafeString(" selected") if zone == value else "", label) for zone, label in self.choices
        )
        options = format_html_join("", '<option value="{}"{}>{}</option>', lines)
        given = self.build_attrs(self.attrs, {**(attrs or {}), "name": name})
        return format_html("<select{}>{}</select>", flatatt(given), options)


class TimeZoneField(forms.ChoiceField):
    """`own`: the browser proposes the zone it is in."""

    def __init__(self, *, own: bool = False, **options: Any) -> None:
        super().__init__(
            label=_("Time zone"),
            choices=[(zone, zone) for zone in sorted(time_zones())],
            widget=_LongSelect(attrs={"data-own-zone": ""} if own else {}),
            **options,
        )
