"""Folders as a tree with boxes to tick: those a test found, and those of a mailbox."""

from typing import Any

from django.utils.translation import gettext as _

from mailsync import foldertree
from mailsync.models import Folder, SpecialUse
from mailsync.roles import FoundFolder


def found_tree(found: list[FoundFolder], chosen: set[str]) -> list[dict[str, Any]]:
    numbered = {folder.name: str(n) for n, folder in enumerate(found)}
    return [
        {
            "key": numbered[line.folder.name],
            "label": _label(line),
            "depth": line.depth,
            "selectable": line.folder.selectable,
            "checked": numbered[line.folder.name] in chosen,
            "count": line.folder.messages,
            "virtual": line.folder.is_virtual,
        }
        for line in foldertree.tree(found, lambda one: foldertree.split(one.path, one.delimiter))
    ]


def stored_tree(rows: list[Folder], chosen: set[str]) -> list[dict[str, Any]]:
    return [
        {
            "key": str(line.folder.pk),
            "label": _label(line),
            "depth": line.depth,
            "selectable": line.folder.selectable,
            "checked": str(line.folder.pk) in chosen,
            "count": line.folder.total if line.folder.syncing else None,
            "virtual": line.folder.special_use in (SpecialUse.ALL, SpecialUse.FLAGGED)
            and not line.folder.syncing,
            "error": line.folder.error,
        }
        for line in foldertree.tree(rows, lambda one: foldertree.split(one.path, one.delimiter))
    ]


def _label(line: foldertree.Line[Any]) -> str:
    """The inbox in the reader's language; every other folder as it is called."""
    return _("Inbox") if line.depth == 0 and line.label.upper() == "INBOX" else line.label
