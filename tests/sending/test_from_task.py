"""A letter that is written from a task: on the task from queueing on, bound by its copy, and the reply comes back."""

from mailsync import composing, outbox
from mailsync.models import Mailbox, Outgoing
from tasks import actions, binding
from tasks.models import Because, Task, TaskLetter, TaskMessage
from tests.engine.conftest import Box
from tests.rigs import smtp
from tests.sending.test_filing import box, post, send  # noqa: F401 (fixtures)


def bound(box: Box, task: Task) -> list[tuple[str, str, str]]:  # noqa: F811
    with box.acting():
        rows = TaskMessage.objects.filter(task=task).order_by("message__received_at", "pk")
        return [
            (row.message.subject, row.because, row.by.name) for row in rows.select_related("message", "by")
        ]


def test_written_from_a_task(box: Box, post: smtp.Outgoing) -> None:  # noqa: F811
    box.deliver("Buoys")
    box.sync()
    with box.acting():
        task = actions.create_from([box.one("Buoys").message], by=box.world.ann)
        actions.let_in(task, box.world.bob, by=box.world.ann)
    ann = box.world.client(box.world.ann)
    page = f"/tasks/{task.pk}/"
    assert ann.post(f"{page}write/", {"address": "boss@acme.example"}).status_code == 404  # in no bound mail
    assert ann.post(f"{page}write/", {"address": "zoe@elsewhere.example"}).status_code == 302
    with box.acting():
        letter = Outgoing.objects.get()
        assert (letter.mailbox_id, letter.subject) == (box.mailbox.pk, "Buoys")
        assert letter.recipients == ["zoe@elsewhere.example"]
        # Under another of her addresses it is the task's all the same.
        other = Mailbox.objects.exclude(pk=box.mailbox.pk).filter(owner=box.world.ann)[0]
        away = composing.moved(letter, composing.of_mailbox(other)[0], revision=1)
        letter = composing.moved(away, composing.of_mailbox(box.mailbox)[0], revision=1)
        outbox.queue(letter, by=box.world.ann, key="")
    assert "Leaves in a moment" in ann.get(page).content.decode()
    with box.acting():
        outbox.undo(letter)
        assert not TaskLetter.objects.exists()
        letter.refresh_from_db()
    letter = send(box, letter)
    assert "written from this task by Ann Archer" in ann.get(page).content.decode()
    box.sync()
    box.sync()
    assert bound(box, task)[1:] == [("Buoys", Because.WRITTEN, "Ann Archer")]
    with box.acting():
        assert not TaskLetter.objects.exists()

    named = letter.message_id
    reply = box.deliver("Re: Buoys").replace(b"\r\n\r\n", f"\r\nIn-Reply-To: <{named}>\r\n\r\n".encode(), 1)
    box.dovecot.append(box.login, reply.replace(b"Message-ID: <", b"Message-ID: <re."))
    forged = named.partition(".")[0] + ".1.ffffffffffff.AAAAAAAAAAAAAAAAAAAAAA@acme.example"
    box.dovecot.append(
        box.login,
        reply.replace(named.encode(), forged.encode()).replace(b"Message-ID: <", b"Message-ID: <no."),
    )
    box.dovecot.append(box.login, reply.replace(b"Message-ID: <", b"Message-ID: <spam."), folder="Junk")
    box.sync()
    assert bound(box, task)[2:] == [("Re: Buoys", Because.ANSWERS, "Ann Archer")]
    assert "answers a letter that Ann Archer wrote from this task" in ann.get(page).content.decode()
    with box.acting():
        answer = TaskMessage.objects.get(because=Because.ANSWERS)
        binding.unbind(task, answer.message_id, by=box.world.ann)
    box.sync()
    assert len(bound(box, task)) == 2  # what a person took off stays off
