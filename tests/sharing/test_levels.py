"""The table of what each level opens (mailsync.levels), row by row at the doors themselves."""

import itertools

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from mailsync import sharing
from mailsync.levels import LEVEL_OF, TABLE
from mailsync.models import Assignment, ConnectionTest, GrantLevel, MailboxGrant, Placement, SpecialUse
from mailsync.views import acting
from tests.world import World

# What a door wants besides an id in its URL. Those with a form are tried by POST, the others by GET.
FORMS = {
    "answer": {"how": "reply"},
    "tags": {"put": "later"},
    "note": {"text": "Call her."},
    "mailbox-folders": {},
    "mailbox-sender": {},
    "mailbox-reading": {"apart": "1"},
    "mailbox-check": {},
}


class Place:
    """One message of Ann's, and Cyd, who holds a grant on the mailbox."""

    def __init__(self, world: World, level: str) -> None:
        self.world = world
        self.inbox = world.folder(world.ann_box)
        self.trash = world.folder(world.ann_box, SpecialUse.TRASH)
        self.uids = itertools.count(1)
        self.client: Client = world.client(world.cyd)
        if level:
            with world.acting():
                MailboxGrant.objects.create(
                    account=world.acme, mailbox=world.ann_box, employee=world.cyd, level=level
                )

    def message(self, *, trashed: bool = False) -> Placement:
        folder = self.trash if trashed else self.inbox
        return self.world.message(folder, attachments=[("a.txt", "text/plain", b"a")], uid=next(self.uids))

    def opens(self, door: str) -> bool:
        placement = self.message()
        url = reverse(f"mail:{door}", kwargs=self.ids(door, placement))
        answer = self.client.post(url, FORMS[door]) if door in FORMS else self.client.get(url)
        assert answer.status_code in (200, 302, 404, 422), (door, answer.status_code)
        return answer.status_code != 404

    def ids(self, door: str, placement: Placement) -> dict[str, int]:
        if door.startswith(("mailbox-", "completeness", "folder-new")):
            return {"mailbox_id": self.world.ann_box.pk}
        ids = {
            "folder": {"folder_id": self.inbox.pk},
            "attachment": {"placement_id": placement.pk, "part": 1},
        }
        if door == "message":
            return {"folder_id": self.inbox.pk, "placement_id": placement.pk}
        return ids.get(door, {"placement_id": placement.pk})

    def does(self, verb: str) -> bool:
        """Whether the verb changes the message: the only thing that counts."""
        placement = self.message(trashed=verb == "expunge")
        if verb in ("unread", "unstar", "not-spam"):
            with self.world.acting():
                flag = "\\Seen" if verb == "unread" else "\\Flagged"
                junk = self.world.folder(self.world.ann_box, SpecialUse.JUNK)
                folder = junk if verb == "not-spam" else self.inbox
                Placement.objects.filter(pk=placement.pk).update(flags=[flag], folder=folder)
        before = self.state(placement)
        name = {"move": f"move:{self.trash.pk}", "assign": "assign:me"}.get(verb, verb)
        self.client.post(
            reverse("mail:act"), {"verb": name, "ids": placement.pk, "list": self.inbox.pk, "confirmed": "1"}
        )
        return self.state(placement) != before

    def state(self, placement: Placement) -> list[object]:
        with self.world.acting():
            lies = Placement.objects.filter(pk=placement.pk).values_list("folder", "flags")
            return [*lies, *Assignment.objects.filter(message=placement.message_id).values_list("employee")]


@pytest.mark.parametrize("level", ["", *GrantLevel.values])
def test_each_level_opens_what_the_table_says_and_nothing_else(world: World, level: str) -> None:
    place = Place(world, level)
    wrong = []
    for deed in TABLE:
        allowed = bool(level) and deed.at(level)
        wrong += [(str(deed.words), door) for door in deed.doors if place.opens(door) is not allowed]
        wrong += [(str(deed.words), verb) for verb in deed.verbs if place.does(verb) is not allowed]
    assert wrong == []


def test_every_verb_of_the_lists_stands_in_the_table_and_everybody_may_read_it(world: World) -> None:
    assert {*acting.FLAGS, *acting.MOVES, "move", "assign"} <= LEVEL_OF.keys()
    shown = world.client(world.cyd).get(reverse("mail:rights")).content.decode()
    assert all(escape(str(deed.words)) in shown for deed in TABLE)
    assert shown.count(">yes<") + shown.count('"yes"') >= len(TABLE)


def test_who_lost_a_mailbox_has_its_login_tested_no_more(world: World) -> None:
    with world.acting():
        sharing.share(world.ann_box, world.bob, GrantLevel.MANAGE, by=world.ann)
    bob = world.client(world.bob)
    assert bob.post(reverse("mail:mailbox-check", args=[world.ann_box.pk])).status_code == 302
    with world.acting():
        test = ConnectionTest.objects.get()
        sharing.unshare(world.ann_box, world.bob, by=world.ann)
    assert bob.post(reverse("mail:connect-again", args=[test.pk])).status_code == 404
    with world.acting():
        assert ConnectionTest.objects.count() == 1
