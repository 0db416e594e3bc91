"""Ann's mailbox is at Gmail: a label is a folder, a mail with three labels is one mail, and nothing gets lost (H)."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts import tenancy
from mailsync import actions, checking, engine, schedule, secrets
from mailsync.engine import Outcome
from mailsync.models import Act, Folder, FolderCheck, Mailbox, Message, Placement, Schedule, SpecialUse
from tests.consistency import assert_consistent
from tests.rigs.gmail import ALL, IMPORTANT, SPAM, STARRED, TRASH, Gmail, gmail
from tests.world import World

WORK, ODD = "Work/Berlin", 'Say "hi" &- Bücher'.replace("Bücher", "B&APw-cher")


@dataclass
class Box:
    world: World
    gmail: Gmail
    mailbox: Mailbox

    def try_sync(self) -> Outcome:
        with self.world.acting():
            lease = schedule.claim(self.mailbox.pk, timezone.now(), even_if_not_due=True)
        assert lease
        return engine.synchronise(lease, seconds=60, thorough=True)

    def sync(self) -> Outcome:
        outcome = self.try_sync()
        assert not outcome.error, outcome.error
        return outcome

    def equal(self) -> None:
        """Every folder in step shows what Gmail shows, one row a mail, and one more run changes nothing."""
        self.sync()
        with self.world.acting():
            rows = Placement.objects.filter(folder__mailbox=self.mailbox)
            ours = {(p.folder.path, p.message.subject) for p in rows.select_related("folder", "message")}
            in_step = Folder.objects.filter(mailbox=self.mailbox, syncing=True, selectable=True)
            paths = {bytes(f.name).decode(): f.path for f in in_step}
            uids = {(p.folder.path, p.uid) for p in rows.select_related("folder")}
            assert Message.objects.filter(
                mailbox=self.mailbox, placements__isnull=False
            ).distinct().count() == len(self.gmail.mails)
            assert_consistent(self.world.acme)
        theirs = {(paths[name], subject(m.raw)) for name in paths for m in self.gmail.shows(name)}
        assert ours == theirs
        assert uids == {(paths[name], uid) for name in paths for uid in self.gmail.uids[name]}
        again = self.sync()
        assert (again.imported, again.changed, again.again) == (0, 0, False)

    def places(self, title: str) -> set[str]:
        with self.world.acting():
            rows = Placement.objects.filter(folder__mailbox=self.mailbox, message__subject=title)
            return set(rows.values_list("folder__path", flat=True))

    def act(self, verb: str, title: str, path: str, *, to: str = "") -> Act:
        with self.world.acting():
            rows = Placement.objects.filter(
                folder__mailbox=self.mailbox, folder__path=path, message__subject=title
            )
            by = {"by": self.world.ann}
            if verb == "move":
                return actions.move(rows, Folder.objects.get(mailbox=self.mailbox, path=to), **by)
            act: Act = getattr(actions, verb)(rows, **by)
            return act

    def undo(self, act: Act) -> int:
        with self.world.acting():
            return actions.undo(act, by=self.world.ann).count


def subject(raw: bytes) -> str:
    return raw.split(b"\r\n")[0].decode().removeprefix("Subject: ")


def connected(world: World, there: Gmail) -> Box:
    with tenancy.acting_for(world.acme.pk):
        mailbox = Mailbox.objects.create(
            account=world.acme, owner=world.ann, address="ann@gmail.com", imap_host="127.0.0.1",
            imap_port=there.port, imap_security="none", login="ann@gmail.com", fetch_days=90,
            secret=secrets.seal("app password", account_id=world.acme.pk),
        )  # fmt: skip
        Schedule.objects.create(mailbox=mailbox, account=world.acme)
    return Box(world, there, mailbox)


@pytest.fixture
def box(world: World) -> Iterator[Box]:
    with gmail(WORK, ODD) as there:
        yield connected(world, there)


def test_h01_a_mail_with_three_labels_is_one_mail_in_four_places_with_one_body(box: Box) -> None:
    box.gmail.deliver("Plans", "INBOX", WORK, ODD)
    box.gmail.deliver("Archived")
    box.gmail.deliver("Plain", "INBOX")
    box.equal()
    assert box.places("Plans") == {"INBOX", WORK, 'Say "hi" & Bücher', ALL}
    assert box.places("Archived") == {ALL}
    assert box.gmail.asked == {"HEADER": 0, "BODY": 3}


def test_h02_a_label_given_there_appears_here_without_a_download(box: Box) -> None:
    mail = box.gmail.deliver("Plans", "INBOX")
    box.equal()
    box.gmail.change(mail, add=WORK)
    box.equal()
    assert WORK in box.places("Plans")
    box.gmail.change(mail, remove="INBOX")
    box.equal()
    assert box.places("Plans") == {WORK, ALL}
    assert box.gmail.asked == {"HEADER": 0, "BODY": 1}


def test_what_is_removed_for_good_right_after_it_was_trashed_leaves_no_mail_behind(box: Box) -> None:
    """Removed from INBOX, it would have lost a label and stayed in All Mail."""
    box.gmail.deliver("Secret", "INBOX")
    box.equal()
    box.act("trash", "Secret", "INBOX")
    with pytest.raises(actions.CannotMove, match="still under way"):
        box.act("expunge", "Secret", TRASH)
    box.sync()
    box.act("expunge", "Secret", TRASH)
    box.sync()
    assert box.gmail.mails == []
    box.equal()


def test_h03_a_label_taken_there_leaves_the_mail_and_our_delete_moves_it_to_the_trash(box: Box) -> None:
    mail = box.gmail.deliver("Plans", "INBOX", WORK)
    box.equal()
    box.gmail.change(mail, remove=WORK)
    box.equal()
    box.act("trash", "Plans", "INBOX")
    box.equal()
    assert (box.places("Plans"), mail.place) == ({TRASH}, TRASH)
    box.act("move", "Plans", TRASH, to="INBOX")
    box.equal()
    assert (box.places("Plans"), mail.labels) == ({"INBOX", ALL}, {"INBOX"})
    box.act("trash", "Plans", "INBOX")
    box.sync()
    box.act("expunge", "Plans", TRASH)
    box.sync()
    assert box.gmail.mails == []


def test_h04_views_of_other_folders_are_known_by_their_role_in_any_language(box: Box) -> None:
    box.gmail.deliver("Starred", "INBOX", IMPORTANT).flags.add("\\Flagged")
    box.gmail.change(box.gmail.mails[0], flag="\\Flagged")
    box.equal()
    assert box.places("Starred") == {"INBOX", ALL}
    with box.world.acting():
        roles = dict(Folder.objects.filter(mailbox=box.mailbox).values_list("path", "special_use"))
        off = set(Folder.objects.filter(mailbox=box.mailbox, syncing=False).values_list("path", flat=True))
    assert (roles[ALL], roles[TRASH], roles[SPAM]) == (SpecialUse.ALL, SpecialUse.TRASH, SpecialUse.JUNK)
    assert {STARRED, IMPORTANT} <= off


def test_without_the_extension_all_mail_is_a_view_like_the_others(world: World) -> None:
    with gmail(WORK, extended=False) as there:
        box = connected(world, there)
        there.deliver("Plans", "INBOX", WORK)
        box.equal()
        assert box.places("Plans") == {"INBOX", WORK}
        assert there.asked["BODY"] == 1


def test_archiving_takes_the_inbox_and_nothing_else_and_can_be_taken_back(box: Box) -> None:
    mail = box.gmail.deliver("Plans", "INBOX", WORK)
    plain = box.gmail.deliver("Plain", "INBOX")
    box.equal()
    for title, one in (("Plans", mail), ("Plain", plain)):
        act = box.act("archive", title, "INBOX")
        box.equal()
        assert "INBOX" not in one.labels | box.places(title)
        assert one.place == ALL
        assert box.undo(act) == 1
        box.equal()
        assert "INBOX" in one.labels & box.places(title)
        assert ALL in box.places(title)
    assert mail.labels == {"INBOX", WORK}
    assert box.gmail.asked == {"HEADER": 0, "BODY": 2}


def test_undo_before_gmail_has_heard_of_it_changes_nothing_there(box: Box) -> None:
    mail = box.gmail.deliver("Plans", "INBOX")
    box.equal()
    before = mail.modseq
    assert box.undo(box.act("archive", "Plans", "INBOX")) == 1
    box.equal()
    assert mail.modseq == before


def test_sorting_from_all_mail_gives_a_label_and_loses_no_place(box: Box) -> None:
    mail = box.gmail.deliver("Archived")
    box.equal()
    box.act("move", "Archived", ALL, to=WORK)
    box.equal()
    assert (box.places("Archived"), mail.labels) == ({WORK, ALL}, {WORK})
    act = box.act("trash", "Archived", ALL)
    box.equal()
    assert box.places("Archived") == {TRASH}
    assert box.undo(act) == 1
    box.equal()
    assert mail.place == ALL


def test_spam_and_back(box: Box) -> None:
    mail = box.gmail.deliver("Win", "INBOX", WORK)
    box.equal()
    box.act("spam", "Win", WORK)
    box.equal()
    assert (box.places("Win"), mail.place) == ({SPAM}, SPAM)
    box.act("not_spam", "Win", SPAM)
    box.equal()
    assert (box.places("Win"), mail.labels) == ({"INBOX", ALL}, {"INBOX"})


def test_a_flag_given_in_one_place_is_seen_in_all(box: Box) -> None:
    mail = box.gmail.deliver("Plans", "INBOX", WORK)
    box.equal()
    with box.world.acting():
        rows = Placement.objects.filter(folder__path="INBOX", message__subject="Plans")
        actions.set_flags(rows, add=["\\Flagged"], by=box.world.ann)
    box.equal()
    assert mail.flags == {"\\Flagged"}
    with box.world.acting():
        assert set(Placement.objects.filter(message__subject="Plans").values_list("starred", flat=True)) == {
            True
        }


def test_every_folder_is_complete_all_mail_too(box: Box) -> None:
    box.gmail.deliver("Plans", "INBOX", WORK)
    box.gmail.deliver("Archived")
    box.equal()
    box.act("archive", "Plans", "INBOX")
    box.act("move", "Archived", ALL, to="INBOX")
    box.sync()
    assert checking.check(box.world.acme.pk, box.mailbox.pk)
    with box.world.acting():
        checks = {c.path: (c.server_count, c.here_count, c.differences) for c in FolderCheck.objects.all()}
    assert checks[ALL] == (2, 2, [])
    assert (checks["INBOX"], checks[WORK]) == ((1, 1, []), (1, 1, []))


def test_an_open_mail_says_where_else_it_is(box: Box) -> None:
    box.gmail.deliver("Plans", "INBOX", WORK)
    box.equal()
    with box.world.acting():
        opened = Placement.objects.get(folder__path="INBOX", message__subject="Plans")
    page = box.world.client(box.world.ann).get(reverse("mail:message", args=[opened.folder_id, opened.pk]))
    assert [folder.path for folder in page.context["pane"].also_in] == [WORK]
    assert f'<span dir="auto">{WORK}</span></a>' in page.content.decode()


def test_two_mails_of_the_same_bytes_are_told_apart_by_their_places_only(box: Box) -> None:
    first, second = box.gmail.deliver("Twin", "INBOX"), box.gmail.deliver("Other", WORK)
    second.raw = first.raw
    box.sync()
    with box.world.acting():
        assert Message.objects.filter(mailbox=box.mailbox).count() == 1
        assert Placement.objects.filter(folder__mailbox=box.mailbox).count() == 4
    again = box.sync()
    assert (again.imported, again.changed) == (0, 0)
