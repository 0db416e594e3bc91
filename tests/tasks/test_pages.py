"""The pages of tasks: what each person finds there, and what they are told."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mailsync.actions import remove_placements
from mailsync.paging import Key as MailKey
from tasks import actions, binding, deletion, details, jobs, reading
from tasks.models import Reminder, Status, Task, TaskMessage
from tests.tasks.people import busy_task
from tests.world import World


@pytest.fixture
def at_acme(world: World) -> Iterator[World]:
    with world.acting():
        yield world


@pytest.fixture
def ann(world: World) -> Client:
    return world.client(world.ann)


def url(name: str, *args: object) -> str:
    return reverse(f"tasks:{name}", args=args)


def the_task(world: World) -> Task:
    with world.acting():
        return Task.objects.get()


def test_ann_adds_a_task_by_its_title_and_opens_it(world: World, ann: Client) -> None:
    answer = ann.post(url("add"), {"title": "  Calibrate\nbuoy 7 "}, follow=True)
    assert "Calibrate buoy 7" in answer.content.decode()
    task = the_task(world)
    assert (task.responsible_id, task.by_id, task.status) == (world.ann.pk, world.ann.pk, "todo")
    assert ann.get(url("detail", task.pk)).status_code == 200


def test_a_task_without_a_title_is_refused_in_a_sentence(world: World, ann: Client) -> None:
    answer = ann.post(url("add"), {"title": " \0 "}, follow=True)
    assert "A task needs a title." in answer.content.decode()


def test_every_part_of_a_busy_task_is_on_its_page(world: World, ann: Client) -> None:
    placement = world.message(world.folder(world.ann_box), subject="Price of 42 buoys")
    with world.acting():
        task = busy_task(world.ann, placement.message, world.bob)
    page = ann.get(url("detail", task.pk)).content.decode()
    for words in ("Price of 42 buoys", "Bob Brown", "Ask for the price", "she is away", "offer.txt"):
        assert words in page, words
    kept = ann.get(url("file", task.pk, _file(world, task)))
    assert (kept.content, kept["Content-Type"]) == (b"42 buoys", "application/octet-stream")


def _file(world: World, task: Task) -> int:
    with world.acting():
        return task.files.get().pk


@pytest.mark.parametrize("name", ["list", "board"])
def test_list_and_board_show_what_the_filter_means(world: World, ann: Client, name: str) -> None:
    mail = world.message(world.folder(world.ann_box)).message
    with world.acting():
        actions.create("Mine and quiet", by=world.ann)
        bobs = actions.create("Bob's for me", by=world.ann, responsible=world.bob)
        binding.bind(bobs, [mail.pk], by=world.ann)
        late = actions.create("Mine and late", by=world.ann)
        Task.objects.filter(pk=late.pk).update(deadline=timezone.now() - timedelta(hours=1))
        actions.create("None of Ann's business", by=world.cyd)

    def shown(**parameters: str | int) -> set[str]:
        page = ann.get(url(name), parameters).content.decode()
        titles = {
            "quiet": "Mine and quiet",
            "bobs": "Bob&#x27;s for me",
            "late": "Mine and late",
            "cyds": "None of",
        }
        return {short for short, title in titles.items() if title in page}

    assert shown() == {"quiet", "late"}
    assert shown(show="all") == {"quiet", "late", "bobs"}
    assert shown(responsible=world.bob.pk) == {"bobs"}
    assert shown(show="overdue") == {"late"}
    assert shown(show="mail") == {"bobs"}
    assert shown(show="all", q="MINE late") == {"late"}
    assert shown(show="nonsense", responsible="x", after="y") == {"quiet", "late"}


def test_a_card_that_moves_while_the_board_is_read_is_in_one_column(at_acme: World) -> None:
    """Whichever way it goes: it may be seen before or after, and not twice or never."""
    forth = actions.create("Forth", by=at_acme.ann, status=Status.TODO)
    back = actions.create("Back", by=at_acme.ann, status=Status.WAITING)

    def meanwhile(execute: Callable[..., object], sql: str, *rest: object) -> object:
        answer = execute(sql, *rest)
        if " FROM " in sql and not seen:
            seen.append(sql)
            Task.objects.filter(pk=forth.pk).update(status=Status.WAITING)
            Task.objects.filter(pk=back.pk).update(status=Status.TODO)
        return answer

    seen: list[str] = []
    with connection.execute_wrapper(meanwhile):
        columns = reading.board(at_acme.ann, reading.Asked())
    assert seen
    assert sorted(task.title for column in columns for task in column.tasks) == ["Back", "Forth"]


def test_the_list_goes_on_by_deadline_without_losing_or_doubling_anything(at_acme: World) -> None:
    soon = timezone.now() + timedelta(days=1)
    for number in range(reading.PAGE + 7):
        task = actions.create(f"Task {number}", by=at_acme.ann)
        if number % 3 == 0:  # many share a moment, many have none
            Task.objects.filter(pk=task.pk).update(deadline=soon + timedelta(days=number // 9))
    first, following = reading.page(at_acme.ann, reading.Asked())
    rest, end = reading.page(at_acme.ann, reading.Asked(), after=reading.Key.parse(following))
    keys = [(task.deadline is None, task.deadline, task.pk) for task in (*first, *rest)]
    assert (len(first), len(rest), end) == (reading.PAGE, 7, "")
    assert keys == sorted(keys)
    assert len({task.pk for task in (*first, *rest)}) == reading.PAGE + 7


def test_done_from_the_list_can_be_taken_back(world: World, ann: Client) -> None:
    with world.acting():
        task = actions.create("Water the plants", by=world.ann)
    page = ann.post(url("move", task.pk, "done"), follow=True).content.decode()
    assert "is now: Done." in page
    assert url("move", task.pk, "todo") in page
    assert the_task(world).done_at
    ann.post(url("move", task.pk, "todo"))
    assert (the_task(world).status, the_task(world).done_at) == ("todo", None)


def test_what_was_typed_comes_back_with_the_refusal(world: World, ann: Client) -> None:
    with world.acting():
        task = actions.create("Water the plants", by=world.ann)
    form = {
        "title": " ",
        "description": "a long text",
        "status": "doing",
        "priority": "1",
        "responsible": world.ann.pk,
    }
    answer = ann.post(url("detail", task.pk), form)
    assert answer.status_code == 422
    assert "a long text" in answer.content.decode()
    ann.post(url("detail", task.pk), form | {"title": "Water them", "deadline": "2027-01-05T09:30"})
    saved = the_task(world)
    assert (saved.title, saved.status, saved.description) == ("Water them", Status.DOING, "a long text")
    assert saved.deadline == datetime(2027, 1, 5, 9, 30, tzinfo=UTC)


def test_a_reminder_is_a_notice_on_every_page_until_it_was_seen(world: World, ann: Client) -> None:
    placement = world.message(world.folder(world.ann_box))
    with world.acting():
        task = busy_task(world.ann, placement.message, world.bob)
        reminder = task.reminders.get()
    assert "Answer Zoe" in ann.get(url("notices")).content.decode()
    assert "Answer Zoe" not in world.client(world.bob).get(url("notices")).content.decode()
    ann.post(url("seen", reminder.pk), headers={"HX-Request": "true"})
    assert "Answer Zoe" not in ann.get(url("notices")).content.decode()
    assert url("notices") in ann.get("/").content.decode()


def test_a_message_on_its_task_is_read_without_its_mailbox(world: World) -> None:
    placement = world.message(
        world.folder(world.ann_box),
        subject="Price",
        html="<p>Forty-two</p><script>1</script>",
        attachments=[("price.pdf", "application/pdf", b"%PDF")],
    )
    with world.acting():
        task = busy_task(world.ann, placement.message, world.bob)
    bob = world.client(world.bob)
    assert bob.get(reverse("mail:original", args=[placement.pk])).status_code == 404
    assert "Price" in bob.get(url("message", task.pk, placement.message_id)).content.decode()
    body = bob.get(url("message-body", task.pk, placement.message_id))
    assert "Forty-two" in body.content.decode()
    assert "<script" not in body.content.decode()
    assert "sandbox" in body["Content-Security-Policy"]
    kept = bob.get(url("message-file", task.pk, placement.message_id, 2))
    assert (kept.content, kept["Content-Type"]) == (b"%PDF", "application/pdf")  # as mail's own page has it
    assert kept["Content-Disposition"].startswith("attachment")
    assert "no-cache" in kept["Cache-Control"]


def test_an_admin_sees_the_task_but_not_its_mail(world: World) -> None:
    placement = world.message(world.folder(world.ann_box), subject="Strictly between us", text="The secret.")
    with world.acting():
        task = actions.create("Call Zoe", by=world.ann)
        binding.bind(task, [placement.message_id], by=world.ann)
    adm = world.client(world.adm)
    page = adm.get(url("detail", task.pk)).content.decode()
    assert "Call Zoe" in page
    assert "Strictly between us" not in page
    for name in ("message", "message-body"):
        assert adm.get(url(name, task.pk, placement.message_id)).status_code == 404


def test_one_key_makes_a_task_of_a_message_and_its_undo_leaves_the_mail(world: World, ann: Client) -> None:
    placement = world.message(world.folder(world.ann_box), subject="Order 1208")
    by_htmx = {"HX-Request": "true"}
    answer = ann.post(url("from-mail"), {"ids": placement.pk}, headers=by_htmx)
    assert "Order 1208" in answer.content.decode()
    task = the_task(world)
    assert (task.title, task.responsible_id) == ("Order 1208", world.ann.pk)
    panel = ann.get(url("panel", placement.pk), headers=by_htmx).content.decode()
    assert url("detail", task.pk) in panel
    assert ann.get(url("marks"), {"ids": f"{placement.pk},"}).json()["bound"] == [placement.pk]
    ann.post(url("unmake", task.pk), headers=by_htmx)
    with world.acting():
        deletion.carry_out_deletion(world.acme.pk, task.pk, timezone.now() + timedelta(minutes=1))
        assert not Task.objects.exists()
        placement.message.refresh_from_db()


def test_a_message_without_a_subject_makes_a_task_too(world: World, ann: Client) -> None:
    placement = world.message(world.folder(world.ann_box), raw=b"From: q@q.example\r\n\r\nx\r\n")
    ann.post(url("from-mail"), {"ids": placement.pk})
    assert the_task(world).title == "(no subject)"


def test_a_reply_is_offered_on_both_sides_and_binds_once(world: World, ann: Client) -> None:
    inbox = world.folder(world.ann_box)
    first = world.message(inbox, subject="Anchor chains")
    other = world.message(inbox, subject="Re: Anchor chains")  # the same words, another conversation
    reply = world.message(
        inbox,
        raw=f"From: z@z.example\r\nSubject: AW: RE: Anchor chains\r\nMessage-ID: <r@z.example>\r\n"
        f"References: <x@y> <{first.message.message_id}>\r\n\r\nYes.\r\n".encode(),
    )
    with world.acting():
        task = actions.create_from([first.message], by=world.ann)
    page = ann.get(url("offers", task.pk), headers={"HX-Request": "true"}).content.decode()
    assert f'value="{reply.message_id}"' in page
    assert f'value="{other.message_id}"' not in page
    assert (
        "Answers mail of" in ann.get(url("panel", reply.pk), headers={"HX-Request": "true"}).content.decode()
    )
    ann.post(url("accept", task.pk), {"ids": [reply.message_id, other.message_id]})
    with world.acting():
        assert set(TaskMessage.objects.values_list("message_id", flat=True)) == {
            first.message_id,
            reply.message_id,
        }
    assert (
        "later repl" not in ann.get(url("offers", task.pk), headers={"HX-Request": "true"}).content.decode()
    )


def test_deleting_says_the_numbers_first_and_can_be_taken_back(world: World, ann: Client) -> None:
    placement = world.message(
        world.folder(world.ann_box), attachments=[("a.pdf", "application/pdf", b"%PDF")]
    )
    with world.acting():
        task = busy_task(world.ann, placement.message, world.bob)
    question = " ".join(ann.get(url("delete", task.pk)).content.decode().split())
    assert "<b>1 message</b> is removed from Webmail" in question
    assert "<b>1 attachment</b>" in question
    assert "1 file goes with it" in question
    answer = ann.post(url("delete", task.pk), follow=True).content.decode()
    assert url("undo-deletion", task.pk) in answer
    assert ann.get(url("detail", task.pk)).status_code == 404
    assert world.client(world.bob).post(url("undo-deletion", task.pk)).status_code == 404
    assert (
        "is back, with all its mail" in ann.post(url("undo-deletion", task.pk), follow=True).content.decode()
    )
    assert ann.get(url("detail", task.pk)).status_code == 200


def test_an_undo_that_comes_too_late_says_so(world: World, ann: Client) -> None:
    with world.acting():
        task = actions.create("Water the plants", by=world.ann)
    ann.post(url("delete", task.pk))
    deletion.carry_out_deletion(world.acme.pk, task.pk, timezone.now() + deletion.HELD)
    answer = ann.post(url("undo-deletion", task.pk))
    assert answer.status_code == 404
    assert "deleted for good, so it cannot be brought back" in answer.content.decode()


def test_who_only_administers_cannot_let_themselves_in(world: World) -> None:
    placement = world.message(world.folder(world.ann_box), text="The secret.")
    with world.acting():
        task = actions.create_from([placement.message], by=world.ann)
    adm = world.client(world.adm)
    form = {"title": task.title, "status": "todo", "priority": "1", "responsible": world.adm.pk}
    assert (
        "they decide who reads its mail"
        in adm.post(url("people", task.pk), {"add": world.adm.pk}, follow=True).content.decode()
    )
    assert adm.post(url("detail", task.pk), form).status_code == 422
    adm.post(url("detail", task.pk), form | {"responsible": world.bob.pk})  # handing on is theirs
    assert the_task(world).responsible_id == world.bob.pk
    assert adm.get(url("message", task.pk, placement.message_id)).status_code == 404


def test_all_mail_of_anns_tasks_is_on_one_page_also_what_left_its_folder(world: World, ann: Client) -> None:
    inbox = world.folder(world.ann_box)
    letters = [world.message(inbox, subject=f"Letter {number}") for number in range(3)]
    with world.acting():
        actions.create_from([letters[0].message, letters[1].message], by=world.ann)
        actions.create_from([letters[2].message], by=world.bob)
        remove_placements([letters[0].pk])
        rows, _following = reading.bound_mail(world.ann)
        assert [row.message.subject for row in rows] == ["Letter 1", "Letter 0"]
        key = MailKey(rows[0].message.received_at, rows[0].pk)
        assert [row.pk for row in reading.bound_mail(world.ann, after=key)[0]] == [rows[1].pk]
    page = ann.get(url("bound")).content.decode()
    assert "only here" in page
    assert "Letter 2" not in page


def test_the_clock_raises_reminders_and_deletes_what_nobody_took_back(world: World) -> None:
    with world.acting():
        task = actions.create("Water the plants", by=world.ann)
        reminder = details.remind(task, timezone.now() + timedelta(days=1), whom=world.ann)
        other = actions.create("Old", by=world.ann)
        deletion.ask_deletion(other, keep_mail=False, by=world.ann)
    assert jobs.tick() == 0
    with world.acting():
        Reminder.objects.filter(pk=reminder.pk).update(at=timezone.now())
        Task.objects.filter(pk=other.pk).update(delete_at=timezone.now())
    assert jobs.tick() == 2
    jobs.carry_out_deletion(world.acme.pk, other.pk)
    assert the_task(world) == task
    with world.acting():
        assert [notice.pk for notice in reading.notices(world.ann)] == [reminder.pk]


def test_a_participant_works_on_the_task_but_cannot_delete_it(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    with world.acting():
        task = busy_task(world.ann, placement.message, world.bob)
    bob = world.client(world.bob)
    assert url("delete", task.pk) not in bob.get(url("detail", task.pk)).content.decode()
    assert bob.post(url("delete", task.pk)).status_code == 403
    bob.post(url("comment", task.pk), {"text": "I rang her."})
    assert the_task(world).delete_at is None
    with world.acting():
        assert task.comments.filter(by=world.bob).exists()


def test_saving_puts_nothing_back_that_somebody_else_changed_meanwhile(world: World, ann: Client) -> None:
    with world.acting():
        task = actions.create("Water the plants", by=world.ann)
        actions.let_in(task, world.bob, by=world.ann)
    shown = ann.get(url("detail", task.pk)).context["form"]
    form = {field.html_name: field.value() for field in shown} | {
        field.html_initial_name: field.value() for field in shown
    }
    typed = {name: "" if value is None else value for name, value in form.items()} | {
        "title": "Water them twice"
    }
    world.client(world.bob).post(url("move", task.pk, "doing"))
    ann.post(url("detail", task.pk), typed)
    saved = the_task(world)
    assert (saved.title, saved.status) == ("Water them twice", "doing")


@pytest.mark.parametrize("day", ["9999-12-31T23:59", "0001-01-01T00:00", "1999-12-31T23:59"])
def test_a_date_that_no_page_could_show_is_refused(world: World, ann: Client, day: str) -> None:
    with world.acting():
        task = actions.create("Water the plants", by=world.ann)
    form = {
        "title": "Water them",
        "status": "todo",
        "priority": "1",
        "responsible": world.ann.pk,
        "deadline": day,
    }
    refused = ann.post(url("detail", task.pk), form)
    assert refused.status_code == 422
    assert "Choose a year between 2000 and 2199." in refused.content.decode()
    assert "between 2000" in ann.post(url("remind", task.pk), {"at": day}, follow=True).content.decode()
    assert ann.get(url("list")).status_code == 200
