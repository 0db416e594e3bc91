"""A letter that is written from a record: on its timeline at once, once, and the reply comes back to it."""

from crm import tokens
from crm.matching import Ref
from crm.models import Activity, ActivityCopy, Binding, Contact, Feed, FeedFolder
from mailsync import outbox
from mailsync.models import Folder
from tests.engine.conftest import Box
from tests.rigs import smtp
from tests.sending.test_filing import box, post, send, write  # noqa: F401 (fixtures)


def test_written_from_a_contact(box: Box, post: smtp.Outgoing) -> None:  # noqa: F811
    with box.acting():
        contact = Contact.objects.create(account=box.world.acme, name="Zoe", responsible=box.world.ann)
        feed = Feed.objects.create(account=box.world.acme, mailbox=box.mailbox, enabled=True)
        for folder in Folder.objects.filter(mailbox=box.mailbox, special_use__in=["inbox", "sent"]):
            FeedFolder.objects.create(account=box.world.acme, feed=feed, folder=folder)
        named = tokens.message_id(
            Ref("contact", contact.pk), account_id=box.world.acme.pk, host="acme.example"
        )
    letter = write(box, origin="crm", message_id=named, bcc=[["", "boss@acme.example"]])
    ann = box.world.client(box.world.ann)
    page = f"/crm/contacts/{contact.pk}/"
    with box.acting():
        outbox.queue(letter, by=box.world.ann, key="")
    assert "Leaves in a moment" in ann.get(page).content.decode()
    with box.acting():
        queued_at = Activity.objects.get(kind="mail").at
        outbox.undo(letter)
        assert not Activity.objects.filter(kind="mail").exists()  # it did not happen
        letter.refresh_from_db()
    letter = send(box, letter)
    assert "Leaves in a moment" not in ann.get(page).content.decode()
    assert post.delivered[0].message_id == named
    with box.acting():
        activity = Activity.objects.get(kind="mail")
        assert (activity.subject, activity.outgoing, activity.body_id) == ("Offer", True, letter.body_id)
        assert Binding.objects.get(activity=activity).contact_id == contact.pk
        assert letter.sent_at
        assert Binding.objects.get(activity=activity).at == activity.at == letter.sent_at > queued_at
    box.sync()
    box.sync()
    with box.acting():
        assert Activity.objects.filter(kind="mail").count() == 1
        assert ActivityCopy.objects.get(activity=activity).message.message_id == named
    reply = box.deliver("Re: Offer").replace(b"\r\n\r\n", f"\r\nIn-Reply-To: <{named}>\r\n\r\n".encode(), 1)
    box.dovecot.append(box.login, reply.replace(b"Message-ID: <", b"Message-ID: <re."))
    box.sync()
    with box.acting():
        assert sorted(
            Binding.objects.filter(contact=contact).values_list("activity__subject", flat=True)
        ) == [
            "Offer",
            "Re: Offer",
        ]
