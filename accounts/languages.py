"""In which language pages and mails speak: nobody is asked where there is only one."""

from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _


class LanguageField(forms.ChoiceField):
    """One of settings.LANGUAGES, by its code."""

    def __init__(self, **options: Any) -> None:
        super().__init__(label=_("Language"), choices=lambda: settings.LANGUAGES, **options)


class AsksForLanguage(forms.BaseForm):
    """Drops the form's field `language` where the installation speaks only one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(settings.LANGUAGES) < 2:
            del self.fields["language"]
