"""The demo company is believable, complete, and the same each time."""

import email
import re
from datetime import UTC, datetime, timedelta
from email.policy import default

import pytest
from django.utils import timezone

from accounts import tenancy
from accounts.models import Employee
from demo import company, correspondence, seeding, series
from mailsync.models import Folder, Mailbox, MailboxGrant, Schedule
from tests.rigs.mailserver import MailServer

NOW = datetime(2026, 11, 20, 16, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def letters() -> list[correspondence.Letter]:
    return [*correspondence.conversations(NOW), *series.everything(NOW)]


def test_the_same_day_gives_the_same_bytes(letters):
    again = [*correspondence.conversations(NOW), *series.everything(NOW)]
    assert [letter.as_bytes() for letter in letters] == [letter.as_bytes() for letter in again]


def test_letters_are_of_the_last_sixty_days_and_none_of_tomorrow(letters):
    assert min(letter.sent_at for letter in letters) > NOW - timedelta(days=62)
    assert max(letter.sent_at for letter in letters) < NOW


def test_every_reply_refers_to_a_letter_that_came_before_it(letters):
    sent = {letter.message_id: letter.sent_at for letter in letters}
    assert len(sent) == len(letters)
    replies = [letter for letter in letters if letter.references]
    assert len(replies) > 60
    for reply in replies:
        assert all(sent[reference] < reply.sent_at for reference in reply.references), reply.subject


def test_there_is_something_of_everything(letters):
    parsed = [email.message_from_bytes(letter.as_bytes(), policy=default) for letter in letters]
    types = {part.get_content_type() for message in parsed for part in message.walk()}
    assert {"text/html", "application/pdf", "image/png", "text/csv", "text/calendar"} <= types
    subjects = " ".join(letter.subject for letter in letters)
    for script in ("\u0410-\u044f", "\u4e00-\u9fff", "\u0600-\u06ff", "\u0590-\u05ff", "\u3040-\u30ff"):
        assert re.search(f"[{script}]", subjects), script
    inline = [
        letter
        for letter in letters
        if any(f"cid:{paper.content_id}" in letter.html for paper in letter.papers)
    ]
    assert inline


@pytest.mark.django_db
def test_the_company_comes_up_once_and_follows_its_mail_server(dovecot: MailServer):
    for key in company.mailbox_keys():
        dovecot.server.set_password(company.PEOPLE[key].address, "for the demo")
    host = seeding.MailHost(dovecot.host, dovecot.port, 25, "for the demo")

    put = seeding.fill_mailboxes(host, now=NOW)
    account = seeding.found_company(host, today=timezone.localdate())
    assert put > 300
    assert seeding.fill_mailboxes(host, now=NOW) == 0

    moved = seeding.MailHost("mail.internal", 1143, 1025, "for the demo")
    assert seeding.found_company(moved, today=timezone.localdate()) == account
    with tenancy.acting_for(account.pk):
        assert set(Mailbox.objects.values_list("imap_host", "imap_port")) == {("mail.internal", 1143)}
        assert Mailbox.objects.count() == Schedule.objects.filter(account=account).count() == 4
        assert MailboxGrant.objects.filter(mailbox__address="support@tidewater.example").count() == 2
        assert Employee.objects.get(role="admin").check_password("for the demo")
        known = set(Folder.objects.values_list("path", flat=True))
    listed = dovecot.doveadm("mailbox", "list", "-u", "ben@tidewater.example").splitlines()
    assert {"INBOX", "Customers/Водоканал-Север"} <= set(listed) <= known
