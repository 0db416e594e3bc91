"""Writing from a task: a letter that is known as the task's by its own Message-ID (tasks.names).

From queueing on it stands on the task; when its copy is pulled from Sent, that is bound (tasks.arrivals).
"""

from collections.abc import Sequence

from accounts.models import Employee
from mailsync import composing, outbox
from mailsync.composing import Sender
from mailsync.mime.headers import Address
from mailsync.models import Outgoing
from tasks import names
from tasks.models import Task, TaskMessage

MOST = 6


def correspondents(links: Sequence[TaskMessage], employee: Employee) -> list[Address]:
    """Who wrote, or was written to, in this bound mail (the oldest first), the latest first."""
    own = {sender.address.lower() for sender in composing.senders(employee)}
    own |= {link.message.mailbox.address.lower() for link in links}
    found: dict[str, Address] = {}
    for link in reversed(links):
        message = link.message
        people = [(message.sender_name, message.sender_address), *message.recipients.get("to", ())]
        for name, address in people:
            if address and address.lower() not in own:
                found.setdefault(address.lower(), Address(name, address))
    return list(found.values())[:MOST]


def sender_for(links: Sequence[TaskMessage], employee: Employee) -> Sender | None:
    """The mailbox of the latest bound mail, where the employee may send from it; else the first that can."""
    known = composing.senders(employee)
    boxes = [link.message.mailbox_id for link in reversed(links)]
    of_mail = (each for box in boxes for each in known if each.mailbox.pk == box)
    return next(of_mail, known[0] if known else None)


def begin(task: Task, sender: Sender, *, by: Employee, to: Address | None) -> Outgoing:
    host = outbox.new_message_id(sender.address).rpartition("@")[2]
    return outbox.start(
        sender.mailbox,
        by=by,
        message_id=names.message_id(task.pk, account_id=task.account_id, host=host),
        from_name=sender.name,
        from_address=sender.address,
        to=composing.as_pairs([to] if to else []),
        subject=task.title,
        html=composing.beginning(sender),
    )
