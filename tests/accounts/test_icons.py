"""The sprite in the repository is the one that the icons' package gives."""

import re
from pathlib import Path

import pytest
from django.template import Context, Template, TemplateSyntaxError

from accounts import icons


def test_the_sprite_is_up_to_date() -> None:
    assert icons.SPRITE.read_text() == icons.sprite(), "run `python -m accounts.icons`"


def test_every_icon_that_a_template_names_is_in_the_sprite() -> None:
    root = Path(__file__).resolve().parents[2]
    used = {
        name
        for template in (root / "templates").rglob("*.html")
        for name in re.findall(r'{% icon "([^"]+)"', template.read_text())
    }
    assert used <= set(icons.NAMES)


def test_an_icon_with_a_label_speaks_and_one_without_is_silent() -> None:
    shown = Template('{% load icons %}{% icon "star" "Starred" %}{% icon "star" %}').render(Context())
    assert 'role="img" aria-label="Starred"' in shown
    assert 'aria-hidden="true"' in shown
    with pytest.raises(TemplateSyntaxError):
        Template('{% load icons %}{% icon "no-such" %}').render(Context())
