"""X04 to X06: who kills the worker is found, left out and said so; whoever was only at hand at the time goes on."""

import signal
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts import notices
from accounts.models import PersonalNotice
from demo.supervisor import Supervisor
from mailsync import deaths, schedule
from mailsync.models import Mailbox, Schedule, SkippedMessage
from mailsync.schedule import Lease
from tests.engine.conftest import Box
from tests.engine.test_interruption import wait_for_messages
from tests.rigs.dying import POISON, ROOT, die_of
from tests.rigs.filling import fill
from tests.test_processes import WORKER
from tests.world import World

KILLED, OUT_OF_CPU, OUT_OF_MEMORY = -signal.SIGKILL, -signal.SIGVTALRM, 1


def lease_runs_out(*mailboxes: Mailbox) -> None:
    Schedule.objects.filter(mailbox__in=mailboxes).update(leased_until=timezone.now() - timedelta(seconds=1))


def claim(mailbox: Mailbox) -> Lease | None:
    return schedule.claim(mailbox.pk, timezone.now(), even_if_not_due=True)


def die(mailbox: Mailbox, times: int = 1) -> None:
    """What killed workers leave of it."""
    for _time in range(times):
        assert claim(mailbox)
        lease_runs_out(mailbox)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("how", "ends"),
    [
        ("killed", [KILLED, KILLED]),
        pytest.param("hangs", [None, OUT_OF_CPU], marks=pytest.mark.slow),
        pytest.param("out of memory", [OUT_OF_MEMORY, OUT_OF_MEMORY], marks=pytest.mark.slow),
    ],
)
def test_x04_x05_a_mail_that_kills_its_worker_is_left_out_after_two_deaths_and_the_folder_goes_on(
    box: Box, how: str, ends: list[int | None]
) -> None:
    box.deliver("Before")
    box.deliver(POISON, text=("x" * 70 + "\r\n") * (400_000 if how == "out of memory" else 1))
    box.deliver("After")
    for expected in ends:
        if expected is None:  # without a limit of its own it would be killed after five minutes
            die(box.mailbox)
        else:
            assert die_of(box.mailbox.pk, how) == expected
            lease_runs_out(box.mailbox)
    box.sync()
    assert box.subjects() == ["Before", "After"]
    assert Schedule.objects.get(mailbox=box.mailbox).deaths == 0
    box.deliver("Later")
    box.sync()
    assert box.subjects() == ["Before", "After", "Later"], (
        "it is left out by every run, until somebody has it tried"
    )
    client = box.world.client(box.world.ann)
    page = client.get(reverse("mail:mailbox-settings", args=[box.mailbox.pk])).content.decode()
    assert "1 message could not be fetched" in page
    assert "was killed, twice" in page
    shown = client.post(
        reverse("mail:mailbox-ask-again", args=[box.mailbox.pk]), follow=True
    ).content.decode()
    assert "1 message is tried again." in shown
    box.sync()
    assert len(box.subjects()) == 4
    with box.acting():
        assert not SkippedMessage.objects.exists()
    box.assert_equal()


def test_a_suspect_that_is_harmless_comes_whole_and_is_cleared(box: Box) -> None:
    for number in range(5):
        box.deliver(f"Mail {number}")
    die(box.mailbox, times=2)
    box.sync()
    assert len(box.subjects()) == 5
    with box.acting():
        assert not SkippedMessage.objects.exists()
    box.assert_equal()
    assert Schedule.objects.get(mailbox=box.mailbox).deaths == 0


def test_x06_a_mailbox_of_which_three_workers_died_is_set_aside_and_said_so_and_the_others_go_on(
    world: World,
) -> None:
    die(world.ann_box, times=3)
    assert claim(world.ann_box) is None
    with world.acting():
        mailbox = Mailbox.objects.get(pk=world.ann_box.pk)
        assert mailbox.state == "set_aside"
        told = {notice.employee: notices.sentence(notice) for notice in PersonalNotice.objects.all()}
        assert told.keys() == {world.ann, world.adm}
        assert world.ann_box.address in told[world.adm]
        schedule.wake(world.ann_box.pk)  # as a click does
    assert schedule.claim(world.ann_box.pk, timezone.now(), click=True) is None
    assert claim(world.ann_box) is None
    assert claim(world.team_box)
    page = world.client(world.ann).get("/").content.decode()
    for words in (
        "was killed while it was at work",
        "Nothing is tried until somebody has it tried again.",
        "Try now",
    ):
        assert words in page
    listed = world.client(world.adm).get(reverse("overview:mailboxes"), {"health": "aside"}).content.decode()
    assert world.ann_box.address in listed
    assert world.team_box.address not in listed


def test_one_click_has_a_mailbox_that_was_set_aside_tried_again(box: Box) -> None:
    box.deliver("Hello")
    die(box.mailbox, times=3)
    assert claim(box.mailbox) is None
    box.world.client(box.world.ann).post(f"/mailboxes/{box.mailbox.pk}/retry/")
    box.sync()
    assert box.subjects() == ["Hello"]
    assert box.reload().state == "ok"
    assert box.mailbox.last_error == ""


def test_the_page_of_a_mailbox_that_was_set_aside_offers_to_try_it_now(world: World) -> None:
    die(world.ann_box, times=3)
    assert claim(world.ann_box) is None
    ann = world.client(world.ann)
    page = ann.get(f"/mailboxes/{world.ann_box.pk}/").content.decode()
    assert f'action="/mailboxes/{world.ann_box.pk}/retry/"' in page
    assert "New mail arrives again once the connection works." not in page


def test_a_mailbox_that_was_set_aside_is_not_said_to_be_compared_for_ever(world: World) -> None:
    ann, url = world.client(world.ann), reverse("mail:completeness", args=[world.ann_box.pk])
    with world.acting():
        schedule.ask_check(world.ann_box.pk, by_id=world.ann.pk)
    assert "Comparing with the server" in ann.get(url).content.decode()
    die(world.ann_box, times=3)
    assert claim(world.ann_box) is None
    ann.post(reverse("mail:completeness-check", args=[world.ann_box.pk]))
    page = ann.get(url).content.decode()
    assert "Comparing with the server" not in page
    assert "nothing is compared until somebody has it tried again" in page
    assert 'id="check-now"' not in page
    ann.post(f"/mailboxes/{world.ann_box.pk}/retry/")
    ann.post(reverse("mail:completeness-check", args=[world.ann_box.pk]))
    assert "Comparing with the server" in ann.get(url).content.decode()


def test_asking_for_messages_that_were_left_out_takes_a_mailbox_back_that_was_set_aside(world: World) -> None:
    die(world.ann_box, times=3)
    assert claim(world.ann_box) is None
    world.client(world.ann).post(f"/mailboxes/{world.ann_box.pk}/ask-again/")
    assert claim(world.ann_box)


def test_x06_after_a_machine_died_its_mailboxes_are_tried_one_by_one_and_only_the_killer_is_set_aside(
    world: World,
) -> None:
    killer, others = world.ann_box, [world.team_box, world.eve_box]
    boxes = [killer, *others]
    for mailbox in boxes:
        assert claim(mailbox), "at work when the machine died"
    lease_runs_out(*boxes)
    for _death in range(deaths.MOST - 1):
        assert claim(killer)
        assert [claim(other) for other in others] == [None, None], "a suspect is tried alone"
        lease_runs_out(killer)
    assert claim(killer) is None
    for other in others:
        lease = claim(other)
        assert lease
        schedule.release(lease, due_at=None, failures=0)
    counted = Schedule.objects.filter(mailbox__in=boxes).values_list("mailbox", "deaths")
    assert dict(counted) == {killer.pk: deaths.MOST, **{other.pk: 0 for other in others}}


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_deploy_that_ends_the_workers_in_mid_sync_is_no_death(
    box: Box, redis_url: str, tmp_path: Path
) -> None:
    fill(box.dovecot, box.login, 4_000)
    with Supervisor(tmp_path) as supervisor:
        environment = {"DJANGO_SETTINGS_MODULE": "tests.settings"}
        worker = supervisor.spawn("worker", [sys.executable, *WORKER], ready=None, env=environment, cwd=ROOT)
        with box.acting():
            schedule.wake(box.mailbox.pk)
        wait_for_messages(box, 50)
        worker.send_signal(signal.SIGQUIT)
        assert worker.wait(30) is not None
    row = Schedule.objects.get(mailbox=box.mailbox)
    assert row.epoch == 1
    assert (row.leased_until, row.deaths) == (None, 0)
    assert 50 <= len(box.placements()) < 4_000
    box.sync()
    assert len(box.placements()) == 4_000
