"""Pull, for folders: let ours come, go and close as they do on the server, and say which are to be read."""

import random
from collections.abc import Collection, Mapping
from datetime import timedelta

from django.utils import timezone

from mailsync import holding, replica
from mailsync.foldernames import INBOX, canonical, within
from mailsync.folders import open_changes
from mailsync.imap.answers import is_of_use
from mailsync.models import Folder, SpecialUse
from mailsync.probing import found_folder
from mailsync.roles import FoundFolder
from mailsync.run import Run

FIRST = [SpecialUse.INBOX, SpecialUse.SENT, SpecialUse.DRAFTS, ""]
MOST_ERRORS = 3
# How long a folder is refused before the mail that is in it here goes: a refusal need not say that it is only for now.
REFUSED_GRACE = timedelta(hours=1)


def refresh(run: Run) -> list[Folder]:
    """Bring our folders in line with LIST and return those to synchronise, INBOX first.

    A folder that is listed no more goes only if STATUS refuses it too; an empty LIST changes nothing (J13). One that is
    listed is closed where neither SELECT nor STATUS knows it, for an hour if it has mail here: so Dovecot lists a
    folder that was deleted or renamed away while it had others inside. What an employee wishes of folders and the
    server has not taken yet is left alone on both sides.
    """
    run.folders_listed = True
    found = [found_folder(remote, None, gmail=run.server.is_gmail) for remote in run.server.folders()]
    with replica.writing(run.lease):
        ours = {bytes(folder.name): folder for folder in Folder.objects.filter(mailbox=run.mailbox_id)}
    inbox = _inbox(ours)
    listed = {inbox if each.name == INBOX else each.name: each for each in found}
    closed = {name for name, each in listed.items() if not each.selectable}
    closed |= {name for name in ours if not is_of_use(name) or (canonical(name) == INBOX and name != inbox)}
    doubtful = [n for n in ours if listed and (n not in listed or _is_doubtful(ours[n])) and n not in closed]
    closed |= run.server.missing(doubtful)
    _follow(run, ours, listed, closed)
    due = [
        folder
        for name, folder in ours.items()
        if folder.syncing and folder.selectable and name not in closed and _worth_trying(folder)
    ]
    return sorted(due, key=_order)


def _inbox(ours: Mapping[bytes, Folder]) -> bytes:
    """By which name we have the INBOX: rows from when LIST was taken at its word may have any case, and be two."""
    names = [name for name in ours if canonical(name) == INBOX]
    return min(names, key=lambda name: ours[name].special_use != SpecialUse.INBOX, default=INBOX)


def _is_doubtful(folder: Folder) -> bool:
    """Whether STATUS is to say if there is such a folder: it was found closed, or SELECT has refused it for long."""
    since = folder.refused_since
    patience = REFUSED_GRACE if folder.total else timedelta(0)
    return not folder.selectable or (since is not None and since < timezone.now() - patience)


def _follow(
    run: Run, ours: dict[bytes, Folder], listed: Mapping[bytes, FoundFolder], closed: Collection[bytes]
) -> None:
    """Let folders go and come as they did on the server; `ours` is what we have, before and after."""
    leaving = [n for n, folder in ours.items() if n in closed and (folder.selectable or n not in listed)]
    coming = [n for n in listed if n not in ours or not (n in closed or ours[n].selectable)]
    if not (leaving or coming):
        return
    with replica.writing(run.lease):
        wished = _wished_names(run)
        for name in sorted(leaving, key=lambda name: ours[name].pk):
            if ours[name].deleting or (not _is_wished(name, wished) and holding.may_go(ours[name])):
                if name in listed:
                    replica.close_folder(ours[name])
                else:
                    replica.remove_folder(ours.pop(name))
        for name in coming:
            taken = {folder.special_use for folder in ours.values()}
            if name in ours:
                _reopen(ours[name], _role(listed[name], taken))
            elif not _is_wished(name, wished):
                ours[name] = _add_folder(run, listed[name], _role(listed[name], taken))


def _wished_names(run: Run) -> list[tuple[bytes, str]]:
    """The names that open changes of folders are about, each with its delimiter."""
    changes = open_changes(run.mailbox_id)
    delimiters = dict(
        Folder.objects.filter(pk__in=[c.folder_id for c in changes]).values_list("pk", "delimiter")
    )
    return [
        (bytes(name), delimiters[change.folder_id])
        for change in changes
        for name in (change.old_name, change.new_name)
        if name is not None and change.folder_id
    ]


def _is_wished(name: bytes, wished: list[tuple[bytes, str]]) -> bool:
    return any(within(name, each, delimiter) for each, delimiter in wished)


def _worth_trying(folder: Folder) -> bool:
    """A folder that failed again and again is tried in one run of ten: a phantom must not be hammered (J10)."""
    return folder.errors_in_row < MOST_ERRORS or random.random() < 0.1  # noqa: S311


def _order(folder: Folder) -> tuple[int, str]:
    rank = FIRST.index(folder.special_use) if folder.special_use in FIRST else len(FIRST)
    return rank, folder.path


def _role(found: FoundFolder, taken: Collection[str]) -> str:
    role = SpecialUse.INBOX if found.name == INBOX else found.special_use
    return role if role in SpecialUse.values and role not in taken else ""


def _reopen(folder: Folder, role: str) -> None:
    folder.selectable, folder.special_use = True, role
    folder.save(update_fields=["selectable", "special_use"])


def _add_folder(run: Run, found: FoundFolder, role: str) -> Folder:
    folder, _made = Folder.objects.get_or_create(  # an employee may have made it a moment ago
        mailbox_id=run.mailbox_id,
        name=found.name,
        defaults={
            "account_id": run.lease.account_id,
            "path": found.path,
            "delimiter": found.delimiter,
            "special_use": role,
            "selectable": found.selectable,
            "syncing": not found.is_virtual,
        },
    )
    return folder
