"""SPEC.md sections 3 and 4 as one table of sentences: what becomes of Ann's mail when people bind and delete.

Each line says what was bound to what, what somebody does, where the message is afterwards, and whether Zoe's timeline
still tells it, with text and attachments. What the night, a plan or the end of a trial takes is told by
tests/retention.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from accounts.models import AuditEntry
from crm import activities, deals, directory
from crm.models import Activity, Binding, Contact, Deal
from mailsync import actions as mail
from mailsync import discarding, replica, settling
from mailsync.actions import remove_placements
from mailsync.blobs import body_of
from mailsync.mime import parse
from mailsync.models import Attachment, Mailbox, Message, Operation, Placement, Tombstone
from tasks import access, actions, binding, deletion, telling
from tasks.models import Task, TaskMessage
from tests.world import World

pytestmark = pytest.mark.django_db


@dataclass
class Scene:
    """Ann's message, and the tasks it is bound to."""

    world: World
    message: Message
    placement: Placement
    tasks: list[Task]

    def delete_task(self, number: int = 0, *, keep_mail: bool = False) -> None:
        """Ask, and let the half minute pass."""
        task, world = self.tasks[number], self.world
        with world.acting():
            deletion.ask_deletion(task, keep_mail=keep_mail, by=world.ann)
        later = timezone.now() + deletion.HELD + timedelta(seconds=1)
        deletion.carry_out_deletion(world.acme.pk, task.pk, later)

    def ask_and_undo(self) -> None:
        with self.world.acting():
            deletion.ask_deletion(self.tasks[0], keep_mail=False, by=self.world.ann)
            deletion.undo_deletion(self.tasks[0], by=self.world.ann)
        deletion.carry_out_deletion(self.world.acme.pk, self.tasks[0].pk, timezone.now() + timedelta(days=1))

    def unbind(self, number: int = 0) -> None:
        with self.world.acting():
            binding.unbind(self.tasks[number], self.message.pk, by=self.world.ann)

    def disconnect(self) -> None:
        with self.world.acting():
            settling.disconnect(self.world.ann_box, by=self.world.ann)
        self.discard()

    def discard(self) -> None:
        """What the job does that unbinding and disconnecting ask for."""
        discarding.discard_let_go(self.world.acme.pk, self.world.ann_box.pk)

    def deleted_by_another_mail_program(self) -> None:
        with self.world.acting():
            remove_placements([self.placement.pk])
            replica.discard_unplaced(self.world.ann_box.pk, timezone.now() + timedelta(days=2))

    def thrown_away_for_good(self) -> None:
        """By Ann: to the Trash, and out of it."""
        with self.world.acting():
            mail.trash([self.placement.pk], by=self.world.ann)
            mail.expunge([self.placement.pk], by=self.world.ann)
            Operation.objects.all().delete()  # carried out by a worker
            remove_placements(
                list(Placement.objects.filter(message=self.message).values_list("pk", flat=True))
            )
        self.next_sync()

    def unlink(self) -> None:
        self._decide(lambda activity: activities.unbind(activity, None, by=self.world.ann, alone=True))

    def unlink_and_undo(self) -> None:
        with self.world.acting():
            activity = activities.kept_for(self.world.acme.pk, self.message.pk)
            state = activities.unbind(activity, None, by=self.world.ann, alone=True)
            activities.undo(state, by=self.world.ann)

    def link_to_a_deal_too(self) -> None:
        with self.world.acting():
            stage = deals.pipelines(self.world.acme)[0].stages.all()[0]
            deal = Deal.objects.create(
                account=self.world.acme, name="Buoys", stage=stage, responsible=self.world.ann
            )
        self._decide(
            lambda activity: activities.bind(activity, activities.ref_of(deal), by=self.world.ann, alone=True)
        )

    def _decide(self, decision: Callable[[Activity], object]) -> None:
        with self.world.acting():
            decision(activities.kept_for(self.world.acme.pk, self.message.pk))

    def delete_zoe(self) -> None:
        with self.world.acting():
            directory.bin_record(Contact.objects.get(), by=self.world.ann)

    def bring_zoe_back(self) -> None:
        with self.world.acting():
            directory.restore(Contact.objects.get(), by=self.world.ann)

    def a_month_passes(self) -> None:
        with self.world.acting():
            directory.empty_bin(self.world.acme.pk, timezone.now() + timedelta(days=31))

    def next_sync(self) -> None:
        with self.world.acting():
            replica.discard_unplaced(self.world.ann_box.pk, timezone.now() + timedelta(days=2))


def then(*acts: Callable[[Scene], object]) -> Callable[[Scene], None]:
    def all_of_them(scene: Scene) -> None:
        for act in acts:
            act(scene)

    all_of_them.__name__ = "-then-".join(act.__name__ for act in acts)
    return all_of_them


def second(act: Callable[..., None]) -> Callable[[Scene], None]:
    """The same with the second task."""

    def with_the_second(scene: Scene) -> None:
        act(scene, 1)

    with_the_second.__name__ = f"{act.__name__}_2"
    return with_the_second


def keeping_mail(scene: Scene) -> None:
    scene.delete_task(keep_mail=True)


def nothing(scene: Scene) -> None:
    """Nobody does anything."""


IN_WEBMAIL = "in Webmail"
ON_THE_TASK = "kept for its task, in no folder"
GONE = "gone"
BURIED = "gone, with a tombstone"

TABLE = [
    # tasks it is bound to, whether to a client, what people do, where it is
    (0, False, nothing, IN_WEBMAIL),
    (0, False, Scene.disconnect, GONE),
    (0, False, Scene.deleted_by_another_mail_program, GONE),
    (1, False, nothing, IN_WEBMAIL),
    (1, False, Scene.delete_task, BURIED),
    (1, False, Scene.ask_and_undo, IN_WEBMAIL),
    (1, False, keeping_mail, IN_WEBMAIL),
    (1, False, Scene.unbind, IN_WEBMAIL),
    (1, False, then(Scene.unbind, Scene.delete_task), IN_WEBMAIL),
    (1, False, Scene.disconnect, ON_THE_TASK),
    (1, False, then(Scene.disconnect, Scene.delete_task), BURIED),
    (1, False, then(Scene.disconnect, keeping_mail, Scene.discard), GONE),
    (1, False, then(Scene.disconnect, Scene.unbind, Scene.discard), GONE),
    (1, False, Scene.deleted_by_another_mail_program, ON_THE_TASK),
    (1, False, then(Scene.deleted_by_another_mail_program, Scene.delete_task), BURIED),
    (1, False, then(Scene.deleted_by_another_mail_program, Scene.unbind, Scene.next_sync), GONE),
    (1, False, then(Scene.deleted_by_another_mail_program, keeping_mail, Scene.next_sync), GONE),
    (2, False, Scene.delete_task, IN_WEBMAIL),
    (2, False, then(Scene.delete_task, second(Scene.delete_task)), BURIED),
    (2, False, then(Scene.delete_task, second(Scene.unbind)), IN_WEBMAIL),
    (2, False, then(Scene.unbind, second(Scene.delete_task)), BURIED),
    (2, False, Scene.unbind, IN_WEBMAIL),
    (2, False, then(Scene.disconnect, Scene.delete_task), ON_THE_TASK),
    (2, False, then(Scene.disconnect, Scene.unbind, Scene.discard), ON_THE_TASK),
    (2, False, then(Scene.deleted_by_another_mail_program, Scene.delete_task, Scene.next_sync), ON_THE_TASK),
    (0, True, nothing, IN_WEBMAIL),
    (0, True, Scene.disconnect, GONE),
    (0, True, Scene.deleted_by_another_mail_program, GONE),
    (1, True, nothing, IN_WEBMAIL),
    (1, True, Scene.delete_task, BURIED),
    (1, True, keeping_mail, IN_WEBMAIL),
    (1, True, Scene.unbind, IN_WEBMAIL),
    (1, True, Scene.disconnect, ON_THE_TASK),
    (1, True, then(Scene.disconnect, Scene.delete_task), BURIED),
    (1, True, then(Scene.disconnect, Scene.unbind, Scene.discard), GONE),
    (2, True, Scene.delete_task, IN_WEBMAIL),
    (2, True, then(Scene.delete_task, second(Scene.delete_task)), BURIED),
]


# What people do with the client: the message is never the worse for it, and its task holds it as before.
OF_CLIENTS = [
    # tasks, what people do, where it is, whether a client's timeline tells it
    (0, Scene.unlink, IN_WEBMAIL, False),
    (0, Scene.unlink_and_undo, IN_WEBMAIL, True),
    (0, then(Scene.unlink, Scene.a_month_passes), IN_WEBMAIL, False),
    (0, then(Scene.unlink, Scene.disconnect), GONE, False),
    (0, Scene.delete_zoe, IN_WEBMAIL, False),
    (0, then(Scene.delete_zoe, Scene.bring_zoe_back), IN_WEBMAIL, True),
    (0, then(Scene.delete_zoe, Scene.a_month_passes), IN_WEBMAIL, False),
    (0, then(Scene.disconnect, Scene.delete_zoe, Scene.bring_zoe_back), GONE, True),
    (0, then(Scene.disconnect, Scene.delete_zoe, Scene.a_month_passes), GONE, False),
    (0, then(Scene.link_to_a_deal_too, Scene.delete_zoe, Scene.a_month_passes), IN_WEBMAIL, True),
    (0, then(Scene.link_to_a_deal_too, Scene.disconnect), GONE, True),
    (0, Scene.thrown_away_for_good, GONE, True),
    (1, Scene.unlink, IN_WEBMAIL, False),
    (1, then(Scene.unlink, Scene.delete_task), BURIED, False),
    (1, then(Scene.delete_zoe, Scene.a_month_passes), IN_WEBMAIL, False),
    (1, then(Scene.delete_zoe, Scene.delete_task, Scene.bring_zoe_back), BURIED, True),
    (1, then(Scene.disconnect, Scene.unlink), ON_THE_TASK, False),
    (1, then(Scene.disconnect, Scene.delete_zoe, Scene.a_month_passes), ON_THE_TASK, False),
    (1, Scene.deleted_by_another_mail_program, ON_THE_TASK, True),
    (2, then(Scene.unlink, Scene.delete_task), IN_WEBMAIL, False),
]


def in_words(value: object) -> str | None:
    """A line of the table as the test's name."""
    return getattr(value, "__name__", None)


@pytest.mark.parametrize(
    ("tasks", "client", "act", "fate", "told"),
    [*((*line, line[1]) for line in TABLE), *((tasks, True, *rest) for tasks, *rest in OF_CLIENTS)],
    ids=in_words,
)
def test_what_becomes_of_the_message(
    world: World, tasks: int, client: bool, act: Callable[[Scene], None], fate: str, told: bool
) -> None:
    placement = world.message(world.folder(world.ann_box), attachments=[("a.txt", "text/plain", b"a")])
    with world.acting():
        made = [actions.create_from([placement.message], by=world.ann) for _ in range(tasks)]
        if client:
            bind_to_a_client(world, placement.message)
    act(Scene(world, placement.message, placement, made))
    with world.acting():
        assert where(placement) == fate
        assert Attachment.objects.count() == (0 if fate in {GONE, BURIED} else 1)
        assert not Operation.objects.exists()  # the mail server is told nothing
        assert world.folder(world.ann_box).total == (1 if fate == IN_WEBMAIL else 0)
        assert texts_on_timelines() == (["Good morning."] if told else [])


def bind_to_a_client(world: World, message: Message) -> None:
    zoe = Contact.objects.create(account=world.acme, name="Zoe", responsible=world.ann)
    activity = activities.kept_for(world.acme.pk, message.pk)
    activities.bind(activity, activities.ref_of(zoe), by=world.ann, alone=True)


def texts_on_timelines() -> list[str]:
    """What the activities of clients outside of the bin still tell, from their own header and bytes."""
    alive = Binding.objects.exclude(contact__binned_at__isnull=False).select_related("activity__body")
    found = {binding.activity for binding in alive}
    read = [parse.read(bytes(each.header or b""), body_of(each.body)) for each in found if each.body]
    assert all(len(content.attachments) == 1 for content in read)
    return [content.text.strip() for content in read]


def where(placement: Placement) -> str:
    if Placement.objects.filter(message=placement.message_id).exists():
        return IN_WEBMAIL
    message = Message.objects.filter(pk=placement.message_id).first()
    if message:
        assert message.unplaced_since
        return ON_THE_TASK
    buried = Tombstone.objects.filter(identity=placement.message.identity, reason="task deleted")
    return BURIED if buried.exists() else GONE


# The wall behind the table


def test_the_database_refuses_to_delete_bound_mail_whatever_code_asks(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    with world.acting():
        actions.create_from([placement.message], by=world.ann)
        with pytest.raises(ProtectedError):
            placement.message.delete()
    with pytest.raises(IntegrityError, match="tasks_taskmessage"):
        _delete_behind_the_products_back(world)
    with world.acting():
        assert Placement.objects.filter(pk=placement.pk).exists()


def _delete_behind_the_products_back(world: World) -> None:
    with world.acting(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # as at the commit
        for table in ("event", "placement", "attachment", "message"):
            cursor.execute(f"DELETE FROM mailsync_{table}")


def test_what_left_a_moment_ago_cannot_be_bound(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    with world.acting():
        task = actions.create("Answer", by=world.ann)
        discarding.discard([placement.message_id], reason="purged")
        with pytest.raises(telling.CannotDo, match="just left"):
            binding.bind(task, [placement.message_id], by=world.ann)
        assert not TaskMessage.objects.exists()


def test_nothing_is_bound_to_a_task_that_is_leaving(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    with world.acting():
        task = actions.create("Answer", by=world.ann)
        deletion.ask_deletion(task, keep_mail=False, by=world.ann)
        with pytest.raises(telling.CannotDo, match="being deleted"):
            binding.bind(task, [placement.message_id], by=world.ann)


def test_a_deletion_waits_its_half_minute_and_happens_once(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    with world.acting():
        task = actions.create_from([placement.message], by=world.ann)
        deletion.ask_deletion(task, keep_mail=False, by=world.ann)
    now = timezone.now()
    assert deletion.carry_out_deletion(world.acme.pk, task.pk, now) == 0
    later = now + deletion.HELD
    assert deletion.carry_out_deletion(world.acme.pk, task.pk, later) == 1
    assert deletion.carry_out_deletion(world.acme.pk, task.pk, later) == 0
    with world.acting():
        entry = AuditEntry.objects.get(verb="task.deleted")
        assert (entry.by, entry.details) == (world.ann, {"messages_removed": 1, "messages_kept": 0})
        with pytest.raises(telling.CannotDo, match="for good"):
            deletion.undo_deletion(task, by=world.ann)


def test_a_deletion_killed_half_way_leaves_everything_and_is_done_by_the_next(
    world: World, monkeypatch
) -> None:
    placement = world.message(world.folder(world.ann_box))
    with world.acting():
        task = actions.create_from([placement.message], by=world.ann)
        deletion.ask_deletion(task, keep_mail=False, by=world.ann)
    later = timezone.now() + deletion.HELD
    with monkeypatch.context() as worker:
        worker.setattr("tasks.deletion.audit.record", _killed)
        with pytest.raises(KeyboardInterrupt):
            deletion.carry_out_deletion(world.acme.pk, task.pk, later)
    with world.acting():
        assert where(placement) == IN_WEBMAIL
        assert deletion.leaving(world.acme.pk, later) == [task.pk]
    assert deletion.carry_out_deletion(world.acme.pk, task.pk, later) == 1


def _killed(*_arguments: object, **_options: object) -> None:
    raise KeyboardInterrupt


def test_the_number_asked_is_the_number_that_goes(world: World) -> None:
    inbox = world.folder(world.ann_box)
    only, shared, leaving = (world.message(inbox, attachments=[("a", "text/plain", b"a")]) for _ in range(3))
    with world.acting():
        task = actions.create_from([each.message for each in (only, shared, leaving)], by=world.ann)
        actions.create_from([shared.message], by=world.ann)
        dying = actions.create_from([leaving.message], by=world.ann)
        deletion.ask_deletion(dying, keep_mail=False, by=world.ann)
        fate = deletion.Fate(task)
    assert (fate.bound, fate.messages, fate.kept, fate.attachments) == (3, 2, 1, 2)
    later = timezone.now() + deletion.HELD
    deletion.carry_out_deletion(world.acme.pk, dying.pk, later)
    with world.acting():
        deletion.ask_deletion(task, keep_mail=False, by=world.ann)
    assert deletion.carry_out_deletion(world.acme.pk, task.pk, later + deletion.HELD) == 2


def test_bound_mail_is_read_on_after_its_mailbox_was_disconnected_and_found_again_after_its_return(
    world: World,
) -> None:
    placement = world.message(world.folder(world.ann_box), subject="Price")
    with world.acting():
        task = actions.create_from([placement.message], by=world.ann)
        actions.let_in(task, world.bob, by=world.ann)
        assert settling.disconnect(world.ann_box, by=world.ann) == 0  # nothing leaves
    discarding.discard_let_go(world.acme.pk, world.ann_box.pk)
    with world.acting():
        assert access.get_bound(world.bob, task.pk, placement.message_id).message.subject == "Price"
        assert Mailbox.objects.get(pk=world.ann_box.pk).disconnected_at


def test_a_link_and_a_discard_at_the_same_moment_lose_nothing(world: World) -> None:
    """Whoever comes second sees what the first did: the message is bound and there, or gone and not bound."""
    placement = world.message(world.folder(world.ann_box))
    with world.acting():
        task = actions.create("Answer", by=world.ann)
        with transaction.atomic():
            binding.bind(task, [placement.message_id], by=world.ann)
            assert discarding.discard([placement.message_id], reason="purged") == []
        assert where(placement) == IN_WEBMAIL
