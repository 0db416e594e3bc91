"""Who gets through which door."""

import pytest
from django.http import Http404

from accounts.models import Employee
from mailsync import access
from mailsync.models import GrantLevel, MailboxGrant
from tests.world import World


def levels_that_open(world: World, employee: Employee, placement_id: int) -> set[str]:
    opened = set()
    for level in GrantLevel.values:
        try:
            access.get_letter(employee, placement_id, level)
        except Http404:
            continue
        opened.add(level)
        assert access.placements_in(access.boxes(employee), [placement_id], level) == [placement_id]
    return opened


@pytest.mark.parametrize(
    ("granted", "opened"),
    [
        ("read", {"read"}),
        ("reply", {"read", "reply"}),
        ("delete", {"read", "reply", "delete"}),
        ("manage", {"read", "reply", "delete", "manage"}),
    ],
)
def test_a_grant_opens_its_own_level_and_those_below(world: World, granted: str, opened: set[str]) -> None:
    placement = world.message(world.folder(world.ann_box))
    with world.acting():
        MailboxGrant.objects.create(
            account=world.acme, mailbox=world.ann_box, employee=world.cyd, level=granted
        )
        assert levels_that_open(world, world.cyd, placement.pk) == opened


def test_the_owner_may_everything_and_an_admin_without_a_grant_nothing(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    with world.acting():
        assert levels_that_open(world, world.ann, placement.pk) == set(GrantLevel.values)
        assert levels_that_open(world, world.adm, placement.pk) == set()
        assert levels_that_open(world, world.cyd, placement.pk) == set()
        assert list(access.visible_mailboxes(world.adm)) == []


def test_bob_sees_the_team_mailbox_only_and_cannot_manage_it(world: World) -> None:
    with world.acting():
        assert list(access.visible_mailboxes(world.bob)) == [world.team_box]
        assert list(access.visible_mailboxes(world.bob, GrantLevel.MANAGE)) == []
        with pytest.raises(Http404):
            access.get_mailbox(world.bob, world.team_box.pk, GrantLevel.MANAGE)
        with pytest.raises(Http404):
            access.get_folder(world.bob, world.folder(world.ann_box).pk, GrantLevel.READ)


def test_eve_finds_no_door_of_another_company(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    with world.acting(world.other):
        assert levels_that_open(world, world.eve, placement.pk) == set()
        assert access.placements_in(access.boxes(world.eve), [placement.pk], GrantLevel.READ) == []


def test_a_disconnected_mailbox_closes_to_everybody(world: World) -> None:
    placement = world.message(world.folder(world.team_box))
    with world.acting():
        world.team_box.disconnected_at = placement.received_at
        world.team_box.save(update_fields=["disconnected_at"])
        for employee in (world.ann, world.bob):
            assert levels_that_open(world, employee, placement.pk) == set()


def test_a_folder_that_cannot_be_selected_is_not_opened(world: World) -> None:
    folder = world.folder(world.ann_box)
    with world.acting():
        folder.selectable = False
        folder.save(update_fields=["selectable"])
        with pytest.raises(Http404):
            access.get_folder(world.ann, folder.pk, GrantLevel.READ)
