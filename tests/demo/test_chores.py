"""The demo's board: tasks that are about its mail, made once, when the mail is there."""

import pytest
from django.utils import timezone

from accounts import tenancy
from demo import chores, correspondence, seeding
from mailsync.models import Folder, Mailbox
from tasks.models import Status, Task
from tests.world import place


@pytest.mark.django_db
def test_every_task_finds_its_mail_and_is_made_once():
    host = seeding.MailHost("127.0.0.1", 1143, 1025, "for the demo")
    account = seeding.found_company(host, today=timezone.localdate())
    now = timezone.now()
    assert chores.give_out(account, now) is None  # the mail has not arrived yet

    for letter in correspondence.conversations(now):
        _deliver(account, letter)

    assert chores.give_out(account, now) == len(chores.CHORES)
    assert chores.give_out(account, now) == 0
    with tenancy.acting_for(account.pk):
        assert set(Task.objects.values_list("status", flat=True)) == set(Status.values)
        drift = Task.objects.get(title__startswith="Correct the series")
        assert drift.links.count() == 3
        assert any(task.is_overdue for task in Task.objects.all())


def _deliver(account, letter: correspondence.Letter) -> None:
    with tenancy.acting_for(account.pk):
        for mailbox in Mailbox.objects.filter(address__in=[person.address for person in letter.people]):
            folder = Folder.objects.get(mailbox=mailbox, path="INBOX")
            Folder.objects.filter(pk=folder.pk).update(uidvalidity=1)
            place(folder, letter.as_bytes(), received_at=letter.sent_at)
        for mailbox in Mailbox.objects.filter(address=letter.sender.address):
            folder = Folder.objects.get(mailbox=mailbox, path="Sent")
            Folder.objects.filter(pk=folder.pk).update(uidvalidity=1)
            place(folder, letter.as_bytes(), received_at=letter.sent_at)
