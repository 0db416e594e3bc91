"""Drafts on which another program works too, while workers die: what the model (tests/model/drafts.py) has found."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.urls import reverse
from django.utils import timezone

from mailsync import letterpush, outbox, settling
from mailsync.imap.errors import CommandRefused
from mailsync.imap.server import ImapServer
from mailsync.models import Folder, Outgoing, OutgoingState, Schedule, SpecialUse
from mailsync.roles import CHOOSABLE
from mailsync.schedule import LeaseLost
from mailsync.views.letter_state import state_of
from tests.engine.conftest import Box
from tests.engine.test_checking import causes, check
from tests.model.mishaps import before_command
from tests.rigs.proxy import BARE, Proxy
from tests.sending.test_filing import again, box, line, on_server, post, save, send, write

__all__ = ["box", "line", "post"]  # fixtures


def edited(box: Box, words: str, *, keeps_fields: bool) -> None:
    """The phone replaces the only draft on the server."""
    [draft] = on_server(box, "Drafts")
    theirs = re.sub(rb"<p>[^<]*|^Ours[^\r]*", words.encode(), draft, flags=re.MULTILINE)
    if not keeps_fields:
        theirs = re.sub(rb"X-Mailbound-Revision: [^\r]+\r\n", b"", theirs)
    removed(box)
    box.dovecot.append(box.login, theirs, folder="Drafts", flags="\\Draft")


def removed(box: Box) -> None:
    box.on_server("STORE", "1:*", "+FLAGS", "(\\Deleted)", folder="Drafts")
    box.on_server("EXPUNGE", "1:*", folder="Drafts")


def words(box: Box, folder: str = "Drafts") -> list[str]:
    found = [re.search(rb"(Ours|Theirs)[^<\r]*", raw) for raw in on_server(box, folder)]
    return sorted(each[0].decode() for each in found if each)


def killed_before_it_is_noted(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy is on the server, and nobody here knows of it."""

    def dies(run: object, letter: Outgoing, **columns: int | None) -> None:
        if "copy_uid" in columns:
            raise LeaseLost("as if the worker had died")
        note(run, letter, **columns)

    note: Callable[..., None] = letterpush._note

    with monkeypatch.context() as dying:
        dying.setattr(letterpush, "_note", dies)
        with pytest.raises(LeaseLost):
            box.try_sync()
    with box.acting():
        Schedule.objects.filter(mailbox=box.mailbox).update(leased_until=None)


def test_a_program_that_keeps_our_field_wrote_it_all_the_same(box: Box) -> None:
    """By its field it was ours, an older one: the next save removed what the phone had written."""
    letter = write(box, html="<p>Ours</p>")
    box.sync()
    edited(box, "Theirs", keeps_fields=True)
    letter = save(box, again(box, letter), html="<p>Ours, later</p>")
    box.sync()
    box.sync()
    assert words(box) == ["Ours, later", "Theirs"]


def test_a_draft_that_was_edited_with_our_field_kept_is_theirs_now(box: Box) -> None:
    letter = write(box, html="<p>Ours</p>")
    box.sync()
    edited(box, "Theirs", keeps_fields=True)
    box.sync()
    box.sync()
    assert again(box, letter).state == OutgoingState.DISCARDED
    with box.acting():
        outbox.restore(again(box, letter))
    box.sync()
    box.sync()
    assert words(box) == ["Ours", "Theirs"]


@pytest.mark.parametrize("end", ["sent", "thrown away"])
def test_a_copy_whose_worker_died_before_it_noted_it_does_not_stay_for_ever(
    box: Box, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    letter = write(box, html="<p>Ours</p>")
    killed_before_it_is_noted(box, monkeypatch)
    assert words(box) == ["Ours"]
    if end == "sent":
        send(box, again(box, letter))
    else:
        with box.acting():
            outbox.discard(again(box, letter))
    box.sync()
    box.sync()
    assert words(box) == []


@pytest.mark.parametrize("end", ["left alone", "saved", "sent", "thrown away"])
@pytest.mark.parametrize("whose", ["the phone's", "another of ours"])
def test_another_draft_lies_where_ours_was_before_the_server_was_restored(
    box: Box, tmp_path: Path, whose: str, end: str
) -> None:
    """An older backup, with the same UIDVALIDITY: what comes after it gets the UIDs of what is not in it."""
    box.dovecot.append(box.login, b"Subject: Old\r\n\r\nold\r\n", folder="Drafts")
    box.sync()
    maildir = box.dovecot.maildir(box.login)
    shutil.copytree(maildir, tmp_path / "backup")
    letter = write(box, html="<p>Ours</p>")
    box.sync()
    shutil.rmtree(maildir)
    shutil.copytree(tmp_path / "backup", maildir)
    if end == "left alone":
        time.sleep(1)  # by a date of the same second it could not be told
    if whose == "the phone's":
        theirs = b"Subject: Theirs\r\nMessage-ID: <theirs@phone.example>\r\n\r\nTheirs\r\n"
        box.dovecot.append(box.login, theirs, folder="Drafts", flags="\\Draft")
    else:
        write(box, html="<p>Ours, another</p>")
        box.sync()
    there, uid = words(box), again(box, letter).copy_uid
    assert (len(there), [*box.dovecot.uids(box.login, "Drafts")][1:]) == (1, [uid])
    if end == "saved":
        save(box, letter, html="<p>Ours, later</p>")
    elif end == "sent":
        send(box, letter)
    elif end == "thrown away":
        with box.acting():
            outbox.discard(letter)
    with box.acting():  # so it is read whole
        Folder.objects.filter(mailbox=box.mailbox).update(full_at=timezone.now() - timedelta(days=2))
    for _run in range(3):
        box.sync()
    ours = {"left alone": ["Ours"], "saved": ["Ours, later"]}.get(end, [])
    assert words(box) == sorted([*there, *ours])
    if end == "left alone":
        assert again(box, letter).state == OutgoingState.DRAFT
    with box.acting():
        drafts = Outgoing.objects.filter(state=OutgoingState.DRAFT).exclude(pk=letter.pk)
        assert drafts.count() == (whose == "another of ours")


def test_ways_are_parted_although_the_server_takes_the_new_copy_only_later(box: Box, line: Proxy) -> None:
    """Ours lies there under the name that is the phone's now."""
    letter = write(box, html="<p>Ours</p>")
    box.sync()
    [draft] = on_server(box, "Drafts")
    theirs = re.sub(rb"X-Mailbound-Revision: [^\r]+\r\n", b"", draft).replace(b"Ours", b"Theirs")
    box.dovecot.append(box.login, theirs, folder="Drafts", flags="\\Draft")
    save(box, again(box, letter), html="<p>Ours, later</p>")
    line.answers = {b"APPEND": b"NO [UNAVAILABLE] not now"}
    box.sync()
    line.heal()
    box.sync()
    assert words(box) == ["Ours, later", "Theirs"]


def test_a_draft_that_is_removed_before_we_ever_saw_it_is_gone_here(box: Box) -> None:
    """Its UID is above all that was read: it was never looked for, and Ann could send what the phone had sent."""
    letter = write(box, html="<p>Ours</p>")
    with before_command(4, lambda: removed(box)):
        box.sync()
    assert words(box) == []
    box.sync()
    assert again(box, letter).state == OutgoingState.DISCARDED


def test_a_draft_is_looked_after_in_a_folder_that_was_rebuilt(box: Box) -> None:
    letter = write(box, html="<p>Ours</p>")
    box.sync()
    box.dovecot.doveadm("mailbox", "update", "-u", box.login, "--uid-validity", "2000000007", "Drafts")
    for _run in range(3):
        box.sync()
    assert words(box) == ["Ours"]
    removed(box)
    box.sync()
    assert again(box, letter).state == OutgoingState.DISCARDED


@pytest.mark.parametrize("end", ["left alone", "sent", "thrown away", "sent at once"])
def test_a_draft_leaves_the_folder_that_is_for_drafts_no_longer(box: Box, end: str) -> None:
    """Ann chose another one in the settings; what the phone wrote in the first stays there."""
    letter = write(box, html="<p>Ours</p>")
    theirs = b"Subject: Theirs\r\nMessage-ID: <theirs@phone.example>\r\n\r\nTheirs\r\n"
    box.dovecot.append(box.login, theirs, folder="Drafts", flags="\\Draft")
    box.sync()
    assert words(box) == ["Ours", "Theirs"]
    name = letter.message_id
    with box.acting():
        box.chosen_folder("Entwurf")
        folders = {folder.path: folder for folder in Folder.objects.filter(mailbox=box.mailbox)}
        roles = {folder.special_use: folder.pk for folder in folders.values()}
        roles = {role: roles[role] for role in CHOOSABLE if role in roles}
        roles |= {SpecialUse.DRAFTS: folders["Entwurf"].pk}
        chosen = [folder.pk for folder in folders.values()]
        settling.set_folders(box.mailbox, chosen, roles, by=box.world.ann)
    if end != "sent at once":
        box.sync()
        box.sync()
        assert (words(box), words(box, "Entwurf")) == (["Theirs"], ["Ours"])
        assert again(box, letter).message_id == name
    if end == "thrown away":
        with box.acting():
            outbox.discard(again(box, letter))
    elif end != "left alone":
        send(box, again(box, letter))
    for _run in range(3):
        box.sync()
    assert (words(box), words(box, "Entwurf")) == (["Theirs"], ["Ours"] if end == "left alone" else [])


def test_what_ann_sends_is_in_sent_beside_what_the_phone_sent_of_it(box: Box) -> None:
    """Some programs send a draft under the name it has: then ours goes on under another one."""
    letter = write(box, html="<p>Ours</p>")
    box.sync()
    letter = save(box, again(box, letter), html="<p>Ours, later</p>")
    box.on_server("MOVE", "1", "Sent", folder="Drafts")
    send(box, letter)
    box.sync()
    assert words(box, "Sent") == ["Ours", "Ours, later"]

    letter = write(box, html="<p>Ours, another</p>")
    box.sync()
    name = again(box, letter).message_id
    box.on_server("MOVE", "1:*", "Sent", folder="Drafts")
    save(box, again(box, letter), html="<p>Ours, still</p>")
    box.sync()
    box.sync()
    box.sync()
    save(box, again(box, letter), html="<p>Ours, at last</p>")
    box.sync()
    assert (words(box), again(box, letter).message_id == name) == (["Ours, at last"], False)


def test_a_draft_that_the_phone_threw_away_and_took_back_stays_there(box: Box) -> None:
    """Here it was given up meanwhile; it is the phone's now, and can be opened as such."""
    letter = write(box, html="<p>Ours</p>")
    box.sync()
    box.on_server("MOVE", "1", "Trash", folder="Drafts")
    box.sync()
    assert again(box, letter).state == OutgoingState.DISCARDED
    box.on_server("MOVE", "1", "Drafts", folder="Trash")
    box.sync()
    box.sync()
    assert words(box) == ["Ours"]


@pytest.mark.parametrize("state", [OutgoingState.QUEUED, OutgoingState.REFUSED, OutgoingState.UNSURE])
def test_what_lies_in_drafts_of_a_letter_that_is_under_way_is_that_letter(
    box: Box, state: OutgoingState
) -> None:
    """Taken for another program's it began a second letter, and both were sent."""
    letter = write(box, html="<p>Ours</p>")
    box.sync()
    with box.acting():
        outbox.queue(letter, by=box.world.ann, key="", send_at=timezone.now() + timedelta(days=1))
        if state != OutgoingState.QUEUED:
            Outgoing.objects.update(state=state, due_at=None, data_at=timezone.now())
    box.sync()
    [shown] = box.placements("Drafts")
    ann = box.world.client(box.world.ann)
    opened = ann.post(reverse("mail:answer", args=[shown.pk]), {"how": "draft"}, follow=True)
    with box.acting():
        assert state_of(Outgoing.objects.get()).sentence in opened.content.decode()


def test_the_copy_that_a_letter_left_in_drafts_is_that_letter_until_it_goes(box: Box) -> None:
    """Taken for another program's it began a second letter."""
    letter = write(box, html="<p>Ours</p>")
    box.sync()
    send(box, letter)
    [shown] = box.placements("Drafts")
    ann = box.world.client(box.world.ann)
    opened = ann.post(reverse("mail:answer", args=[shown.pk]), {"how": "draft"}, follow=True)
    with box.acting():
        assert state_of(Outgoing.objects.get()).sentence in opened.content.decode()
    box.sync()
    assert (words(box), words(box, "Sent"), words(box, "Trash")) == ([], ["Ours"], [])


def test_what_the_phone_writes_on_the_draft_of_a_letter_that_has_left_is_a_letter_of_its_own(
    box: Box,
) -> None:
    letter = write(box, html="<p>Ours</p>")
    box.sync()
    edited(box, "Theirs", keeps_fields=False)
    send(box, letter)
    with patch.object(letterpush, "_remove_draft", side_effect=CommandRefused("Not now.", final=False)):
        box.sync()
    assert again(box, letter).copy_revision is not None
    [shown] = box.placements("Drafts")
    ann = box.world.client(box.world.ann)
    ann.post(reverse("mail:answer", args=[shown.pk]), {"how": "draft"})
    with box.acting():
        assert "Theirs" in Outgoing.objects.exclude(pk=letter.pk).get().html


def test_a_draft_that_was_moved_away_and_back_between_two_looks_is_the_same(box: Box) -> None:
    letter = write(box, html="<p>Ours</p>")
    box.sync()
    box.on_server("MOVE", "1", "Trash", folder="Drafts")
    box.on_server("MOVE", "1", "Drafts", folder="Trash")
    box.sync()
    save(box, again(box, letter), html="<p>Ours, later</p>")
    box.sync()
    assert words(box) == ["Ours, later"]


def test_a_draft_that_is_shown_among_all_mail_keeps_its_name(box: Box) -> None:
    """As Gmail shows each: no other program has put it there."""
    with box.acting():
        Folder.objects.filter(pk=box.chosen_folder("All").pk).update(special_use=SpecialUse.ALL)
    letter = write(box, html="<p>Ours</p>")
    box.sync()
    name = again(box, letter).message_id
    box.on_server("COPY", "1", "All", folder="Drafts")
    box.sync()
    assert len(box.placements("All")) == 1
    save(box, again(box, letter), html="<p>Ours, later</p>")
    box.sync()
    assert (words(box), again(box, letter).message_id) == (["Ours, later"], name)


def test_without_uidplus_older_versions_are_not_shown(box: Box, line: Proxy) -> None:
    line.profile = BARE
    letter = write(box, html="<p>Ours</p>", subject="First")
    box.sync()
    for number in range(3):
        letter = save(box, again(box, letter), subject=f"Version {number}")
        box.sync()
        box.sync()
    assert box.subjects("Drafts") == ["Version 2"]
    assert causes(check(box)["Drafts"]) == {"marked": 3}
    box.sync()
    assert box.subjects("Drafts") == ["Version 2"]


@contextmanager
def overtaken_at(box: Box, method: str, *, before: bool) -> Iterator[None]:
    """A worker falls asleep before, or after, its first call of this, and wakes when another has done all."""
    real, calls = getattr(ImapServer, method), count()

    def sleeps(server: ImapServer, *arguments: Any, **options: Any) -> Any:
        first = next(calls) == 0
        if first and before:
            _another_works(box)
        answer = real(server, *arguments, **options)
        if first and not before:
            _another_works(box)
        return answer

    with patch.object(ImapServer, method, sleeps):
        yield
    assert next(calls) > 1


def _another_works(box: Box) -> None:
    with box.acting():
        Schedule.objects.filter(mailbox=box.mailbox).update(leased_until=None)
    box.sync()


def test_an_overtaken_worker_does_not_file_a_second_copy_in_sent(box: Box) -> None:
    """It fell asleep between its look and its APPEND, while another did all."""
    letter = send(box, write(box, html="<p>Ours</p>"))
    with overtaken_at(box, "with_message_id", before=False), pytest.raises(LeaseLost):
        box.try_sync()
    box.sync()
    assert words(box, "Sent") == ["Ours"]
    assert again(box, letter).state == OutgoingState.SENT


def test_a_draft_that_an_overtaken_worker_filed_late_is_there_once_again(box: Box) -> None:
    """It fell asleep after the last look at its lease: what it says then is said twice, and put right."""
    letter = write(box, html="<p>Ours</p>")
    with overtaken_at(box, "append", before=True), pytest.raises(LeaseLost):
        box.try_sync()
    assert words(box) == ["Ours", "Ours"]
    box.sync()
    box.sync()
    assert (words(box), again(box, letter).state) == (["Ours"], OutgoingState.DRAFT)
