"""What Ann and Bob do is on the page at once, and written down for the server once."""

from collections.abc import Iterator

import pytest
from django.db.models import QuerySet

from accounts.models import Employee
from mailsync import actions
from mailsync.models import (
    Act,
    Folder,
    Mailbox,
    Message,
    Operation,
    OperationKind,
    OperationState,
    Placement,
    Schedule,
    SpecialUse,
)
from tests.world import World

SEEN, STARRED = "\\Seen", "\\Flagged"


@pytest.fixture
def at_acme(world: World) -> Iterator[World]:
    with world.acting():
        yield world


def some(*placements: Placement) -> QuerySet[Placement]:
    return Placement.objects.filter(pk__in=[placement.pk for placement in placements])


def operations() -> list[Operation]:
    return list(Operation.objects.exclude(state=OperationState.VOID).order_by("id"))


def mark(placement: Placement, by: Employee, *, add: list[str] = [], remove: list[str] = []) -> Act:  # noqa: B006
    return actions.set_flags(some(placement), add=add, remove=remove, by=by)


def where(placement: Placement) -> str:
    return Placement.objects.select_related("folder").get(pk=placement.pk).folder.path


def sent(operation: Operation) -> None:
    """The worker has carried it out."""
    Operation.objects.filter(pk=operation.pk).update(
        state=OperationState.DONE, finished_at=operation.created_at
    )


# Flags.


def test_a_star_is_there_at_once_and_goes_to_the_server(at_acme):
    letter = at_acme.message(at_acme.folder(at_acme.ann_box), uid=7)

    act = mark(letter, at_acme.ann, add=[STARRED])

    letter.refresh_from_db()
    (operation,) = operations()
    assert (letter.flags, letter.starred, act.count) == ([STARRED], True, 1)
    assert (operation.kind, operation.state) == (OperationKind.FLAG, OperationState.PENDING)
    assert (operation.folder_id, operation.uidvalidity, operation.uid) == (letter.folder_id, 1, 7)
    assert (operation.add, operation.remove, operation.by, operation.placement) == (
        [STARRED],
        [],
        at_acme.ann,
        letter,
    )


def test_five_toggles_become_one_operation_with_the_net_change(at_acme):
    """F03"""
    letter = at_acme.message(at_acme.folder(at_acme.ann_box))
    for number in range(5):
        mark(letter, at_acme.ann, **{("remove" if number % 2 else "add"): [SEEN]})

    (operation,) = operations()
    assert (operation.add, operation.remove) == ([SEEN], [])


def test_different_flags_are_collected_in_one_operation(at_acme):
    letter = at_acme.message(at_acme.folder(at_acme.ann_box), flags=[SEEN])

    mark(letter, at_acme.ann, add=[STARRED])
    mark(letter, at_acme.ann, remove=[SEEN])

    (operation,) = operations()
    assert (operation.add, operation.remove) == ([STARRED], [SEEN])


def test_flags_of_others_are_kept(at_acme):
    """F02, F07: a keyword of a phone's survives our star."""
    letter = at_acme.message(at_acme.folder(at_acme.ann_box), flags=["$Forwarded", "tag-7"])

    mark(letter, at_acme.ann, add=[STARRED])

    letter.refresh_from_db()
    assert letter.flags == ["$Forwarded", STARRED, "tag-7"]
    assert operations()[0].add == [STARRED]


def test_what_is_so_already_asks_nothing_of_the_server(at_acme):
    letter = at_acme.message(at_acme.folder(at_acme.ann_box), flags=[SEEN])

    act = mark(letter, at_acme.ann, add=[SEEN])

    assert (act.count, operations()) == (0, [])


def test_a_change_during_the_sending_is_an_operation_of_its_own(at_acme):
    """What a worker has in its hands is not changed any more."""
    letter = at_acme.message(at_acme.folder(at_acme.ann_box))
    mark(letter, at_acme.ann, add=[SEEN])
    Operation.objects.update(state=OperationState.SENDING)

    mark(letter, at_acme.ann, remove=[SEEN])

    assert [(op.state, op.add, op.remove) for op in operations()] == [
        (OperationState.SENDING, [SEEN], []),
        (OperationState.PENDING, [], [SEEN]),
    ]


def test_marking_many_is_one_act_that_takes_back_exactly_what_changed(at_acme):
    inbox = at_acme.folder(at_acme.ann_box)
    read, unread = at_acme.message(inbox, flags=[SEEN]), at_acme.message(inbox)

    act = actions.set_flags(some(read, unread), add=[SEEN], by=at_acme.ann)
    actions.undo(act, by=at_acme.ann)

    read.refresh_from_db()
    unread.refresh_from_db()
    assert (act.count, read.flags, unread.flags) == (1, [SEEN], [])


def test_a_letter_on_its_way_is_flagged_where_the_server_still_has_it(at_acme):
    letter = at_acme.message(at_acme.folder(at_acme.ann_box), uid=7)
    actions.archive(some(letter), by=at_acme.ann)

    mark(letter, at_acme.ann, add=[STARRED])
    mark(letter, at_acme.ann, add=[SEEN])

    flag = Operation.objects.get(kind=OperationKind.FLAG)
    assert (flag.folder_id, flag.uid, sorted(flag.add)) == (letter.folder_id, 7, [STARRED, SEEN])


def test_a_letter_whose_new_uid_is_unknown_is_flagged_as_soon_as_it_is_known(at_acme):
    letter = at_acme.message(at_acme.folder(at_acme.ann_box))
    actions.archive(some(letter), by=at_acme.ann)
    sent(operations()[0])

    mark(letter, at_acme.ann, add=[STARRED])
    mark(letter, at_acme.ann, remove=[STARRED])

    flag = Operation.objects.get(kind=OperationKind.FLAG)
    assert (flag.folder, flag.uid) == (at_acme.folder(at_acme.ann_box, SpecialUse.ARCHIVE), None)
    assert (flag.add, flag.remove, flag.placement) == ([], [STARRED], letter)


# Moves.


def test_a_moved_letter_is_in_its_new_folder_at_once_without_a_uid(at_acme):
    letter = at_acme.message(at_acme.folder(at_acme.ann_box), uid=7)
    drafts = at_acme.folder(at_acme.ann_box, SpecialUse.DRAFTS)

    act = actions.move(some(letter), drafts, by=at_acme.ann)

    (operation,) = operations()
    assert (operation.kind, operation.folder_id, operation.uidvalidity, operation.uid, operation.target) == (
        OperationKind.MOVE,
        letter.folder_id,
        1,
        7,
        drafts,
    )
    letter.refresh_from_db()
    assert (letter.folder, letter.uid, act.count) == (drafts, None, 1)


def test_moved_and_back_never_happened(at_acme):
    inbox = at_acme.folder(at_acme.ann_box)
    letter = at_acme.message(inbox, uid=7)
    actions.archive(some(letter), by=at_acme.ann)

    actions.move(some(letter), inbox, by=at_acme.ann)

    letter.refresh_from_db()
    assert (letter.folder, letter.uid, operations()) == (inbox, 7, [])


def test_moved_on_before_the_server_heard_is_one_move(at_acme):
    letter = at_acme.message(at_acme.folder(at_acme.ann_box), uid=7)
    actions.archive(some(letter), by=at_acme.ann)

    actions.trash(some(letter), by=at_acme.ann)

    (operation,) = operations()
    assert (operation.uid, operation.target) == (7, at_acme.folder(at_acme.ann_box, SpecialUse.TRASH))
    assert where(letter) == "Trash"


def test_a_move_that_the_server_has_but_not_yet_told_cannot_be_moved_on(at_acme):
    letter = at_acme.message(at_acme.folder(at_acme.ann_box))
    actions.archive(some(letter), by=at_acme.ann)
    sent(operations()[0])

    with pytest.raises(actions.CannotMove, match="still under way"):
        actions.trash(some(letter), by=at_acme.ann)

    assert where(letter) == "Archive"


def test_one_that_cannot_be_moved_does_not_hold_the_others(at_acme):
    inbox = at_acme.folder(at_acme.ann_box)
    stuck, free = at_acme.message(inbox), at_acme.message(inbox)
    actions.archive(some(stuck), by=at_acme.ann)
    sent(operations()[0])

    act = actions.trash(some(stuck, free), by=at_acme.ann)

    assert (act.count, where(stuck), where(free)) == (1, "Archive", "Trash")


def test_moving_to_where_it_is_does_nothing(at_acme):
    inbox = at_acme.folder(at_acme.ann_box)
    letter = at_acme.message(inbox, uid=7)

    act = actions.move(some(letter), inbox, by=at_acme.ann)

    letter.refresh_from_db()
    assert (act.count, letter.uid, operations()) == (0, 7, [])


def test_a_letter_cannot_be_moved_to_another_mailbox(at_acme):
    letter = at_acme.message(at_acme.folder(at_acme.ann_box))

    with pytest.raises(actions.CannotMove, match="own mailbox"):
        actions.move(some(letter), at_acme.folder(at_acme.team_box), by=at_acme.ann)

    assert (where(letter), operations()) == ("INBOX", [])


def test_a_folder_that_only_holds_folders_takes_no_letter(at_acme):
    letter = at_acme.message(at_acme.folder(at_acme.ann_box))
    parent = Folder.objects.create(
        account=at_acme.acme, mailbox=at_acme.ann_box, name=b"Clients", path="Clients", selectable=False
    )

    with pytest.raises(actions.CannotMove, match="Clients"):
        actions.move(some(letter), parent, by=at_acme.ann)


@pytest.mark.parametrize(
    ("verb", "path"),
    [(actions.archive, "Archive"), (actions.trash, "Trash"), (actions.spam, "Junk")],
)
def test_each_role_has_its_folder(at_acme, verb, path):
    letter = at_acme.message(at_acme.folder(at_acme.ann_box))

    verb(some(letter), by=at_acme.ann)

    assert where(letter) == path


def test_not_spam_goes_back_to_the_inbox(at_acme):
    letter = at_acme.message(at_acme.folder(at_acme.ann_box, SpecialUse.JUNK))

    actions.not_spam(some(letter), by=at_acme.ann)

    assert where(letter) == "INBOX"


def test_one_click_on_letters_of_two_mailboxes_uses_each_ones_own_trash(at_acme):
    mine = at_acme.message(at_acme.folder(at_acme.ann_box))
    teams = at_acme.message(at_acme.folder(at_acme.team_box))

    act = actions.trash(some(mine, teams), by=at_acme.ann)

    found = {
        p.pk: p.folder for p in Placement.objects.select_related("folder").filter(pk__in=[mine.pk, teams.pk])
    }
    assert found[mine.pk] == at_acme.folder(at_acme.ann_box, SpecialUse.TRASH)
    assert found[teams.pk] == at_acme.folder(at_acme.team_box, SpecialUse.TRASH)
    assert act.count == 2

    actions.undo(act, by=at_acme.ann)

    assert (where(mine), where(teams), operations()) == ("INBOX", "INBOX", [])


def test_a_mailbox_without_the_folder_says_so_and_nothing_moves(at_acme):
    mine = at_acme.message(at_acme.folder(at_acme.ann_box))
    teams = at_acme.message(at_acme.folder(at_acme.team_box))
    at_acme.folder(at_acme.team_box, SpecialUse.ARCHIVE).delete()

    with pytest.raises(actions.NoSuchFolder) as caught:
        actions.archive(some(mine, teams), by=at_acme.ann)

    assert str(caught.value) == "team@acme.example has no folder “Archive”. Choose one in its settings."
    assert (where(mine), operations()) == ("INBOX", [])


# For good.


def test_removed_for_good_is_gone_here_and_an_expunge_for_the_server(at_acme):
    letter = at_acme.message(at_acme.folder(at_acme.ann_box, SpecialUse.TRASH), uid=7)

    act = actions.expunge(some(letter), by=at_acme.ann)

    (operation,) = operations()
    assert not Placement.objects.filter(pk=letter.pk).exists()
    assert (operation.kind, operation.folder_id, operation.uid, operation.placement) == (
        OperationKind.EXPUNGE,
        letter.folder_id,
        7,
        None,
    )
    with pytest.raises(actions.CannotMove):
        actions.undo(act, by=at_acme.ann)


@pytest.mark.parametrize("role", [SpecialUse.INBOX, SpecialUse.SENT, SpecialUse.ARCHIVE, SpecialUse.DRAFTS])
def test_only_trash_and_spam_are_emptied_for_good(at_acme, role):
    safe = at_acme.message(at_acme.folder(at_acme.ann_box, role))
    trashed = at_acme.message(at_acme.folder(at_acme.ann_box, SpecialUse.TRASH))

    with pytest.raises(actions.CannotMove, match="Only messages in Trash or Spam"):
        actions.expunge(some(safe, trashed), by=at_acme.ann)

    assert Placement.objects.filter(pk__in=[safe.pk, trashed.pk]).count() == 2
    assert operations() == []


def test_trashed_and_removed_before_the_server_heard_is_removed_where_it_lies(at_acme):
    letter = at_acme.message(at_acme.folder(at_acme.ann_box), uid=7)
    actions.trash(some(letter), by=at_acme.ann)

    actions.expunge(some(letter), by=at_acme.ann)

    (operation,) = operations()
    assert (operation.kind, operation.folder_id, operation.uid, operation.target) == (
        OperationKind.EXPUNGE,
        letter.folder_id,
        7,
        None,
    )


def test_a_letter_whose_uid_in_trash_is_unknown_stays_until_it_is_known(at_acme):
    letter = at_acme.message(at_acme.folder(at_acme.ann_box))
    actions.trash(some(letter), by=at_acme.ann)
    sent(operations()[0])

    with pytest.raises(actions.CannotMove, match="Try again in a moment"):
        actions.expunge(some(letter), by=at_acme.ann)

    assert where(letter) == "Trash"


def test_a_message_that_no_folder_holds_any_more_is_marked_since_when(at_acme):
    trash = at_acme.folder(at_acme.ann_box, SpecialUse.TRASH)
    letter, twice = at_acme.message(trash), at_acme.message(trash, raw=b"Subject: twice\r\n\r\nHello\r\n")
    at_acme.message(at_acme.folder(at_acme.ann_box), raw=b"Subject: twice\r\n\r\nHello\r\n")

    actions.expunge(some(letter, twice), by=at_acme.ann)

    assert Message.objects.get(pk=letter.message_id).unplaced_since is not None
    assert Message.objects.get(pk=twice.message_id).unplaced_since is None


# Undo.


def test_undo_brings_back_flags_and_folders(at_acme):
    letter = at_acme.message(at_acme.folder(at_acme.ann_box), uid=7, flags=[STARRED])
    moved = actions.archive(some(letter), by=at_acme.ann)
    marked = actions.set_flags(some(letter), add=[SEEN], remove=[STARRED], by=at_acme.ann)

    actions.undo(marked, by=at_acme.ann)
    actions.undo(moved, by=at_acme.ann)

    letter.refresh_from_db()
    assert (letter.flags, letter.uid, where(letter)) == ([STARRED], 7, "INBOX")


def test_undo_after_the_server_has_moved_moves_back(at_acme):
    letter = at_acme.message(at_acme.folder(at_acme.ann_box), uid=7)
    act = actions.archive(some(letter), by=at_acme.ann)
    sent(operations()[0])
    Placement.objects.filter(pk=letter.pk).update(uid=31)

    actions.undo(act, by=at_acme.ann)

    back = operations()[-1]
    assert (back.uid, back.state, where(letter)) == (31, OperationState.PENDING, "INBOX")


def test_undo_works_once(at_acme):
    letter = at_acme.message(at_acme.folder(at_acme.ann_box))
    act = actions.archive(some(letter), by=at_acme.ann)
    actions.undo(act, by=at_acme.ann)

    with pytest.raises(actions.CannotMove, match="cannot be undone"):
        actions.undo(act, by=at_acme.ann)


def test_only_who_did_it_takes_it_back(at_acme):
    letter = at_acme.message(at_acme.folder(at_acme.team_box))
    act = actions.archive(some(letter), by=at_acme.ann)

    with pytest.raises(actions.CannotMove):
        actions.undo(act, by=at_acme.bob)

    assert where(letter) == "Archive"


def test_what_was_moved_on_meanwhile_stays_where_it_is(at_acme):
    """Ann archives; Bob puts it into the trash; Ann's undo does not take it from there."""
    inbox = at_acme.folder(at_acme.team_box)
    taken, left = at_acme.message(inbox), at_acme.message(inbox)
    act = actions.archive(some(taken, left), by=at_acme.ann)
    actions.trash(some(taken), by=at_acme.bob)

    undone = actions.undo(act, by=at_acme.ann)

    assert (where(taken), where(left), undone.count) == ("Trash", "INBOX", 1)


def test_an_undo_that_cannot_be_done_yet_may_be_tried_again(at_acme):
    letter = at_acme.message(at_acme.folder(at_acme.ann_box))
    act = actions.archive(some(letter), by=at_acme.ann)
    sent(operations()[0])

    with pytest.raises(actions.CannotMove, match="still under way"):
        actions.undo(act, by=at_acme.ann)
    Placement.objects.filter(pk=letter.pk).update(uid=31)
    actions.undo(act, by=at_acme.ann)

    assert where(letter) == "INBOX"


def test_what_cannot_be_undone_whole_yet_is_not_undone_in_part(at_acme):
    inbox = at_acme.folder(at_acme.ann_box)
    waits, under_way = at_acme.message(inbox), at_acme.message(inbox)
    act = actions.archive(some(waits, under_way), by=at_acme.ann)
    sent(Operation.objects.get(placement=under_way))

    with pytest.raises(actions.CannotMove, match="still under way"):
        actions.undo(act, by=at_acme.ann)
    assert (where(waits), where(under_way)) == ("Archive", "Archive")
    Placement.objects.filter(pk=under_way.pk).update(uid=31)
    actions.undo(act, by=at_acme.ann)

    assert (where(waits), where(under_way)) == ("INBOX", "INBOX")


@pytest.mark.parametrize("how", ["gone", "being deleted"])
def test_an_undo_that_moves_nothing_is_not_called_one(at_acme, how):
    projects = Folder.objects.create(
        account=at_acme.acme, mailbox=at_acme.ann_box, name=b"Projects", path="Projects", uidvalidity=7
    )
    letter = at_acme.message(projects)
    act = actions.archive(some(letter), by=at_acme.ann)
    sent(operations()[0])
    Placement.objects.filter(pk=letter.pk).update(uid=31)
    if how == "gone":  # another program did it
        projects.delete()
    else:
        Folder.objects.filter(pk=projects.pk).update(deleting=True)

    with pytest.raises(actions.CannotMove, match="Nothing is left to undo"):
        actions.undo(act, by=at_acme.ann)

    assert where(letter) == "Archive"


@pytest.mark.parametrize("half_done", [True, False])
def test_a_move_that_was_refused_is_taken_back_only_where_nothing_of_it_was_done(at_acme, half_done):
    """Half done it has no error: a copy may lie in the target."""
    letter = at_acme.message(at_acme.folder(at_acme.ann_box))
    act = actions.archive(some(letter), by=at_acme.ann)
    Operation.objects.update(tries=1, error="" if half_done else "Not now.")

    if half_done:
        with pytest.raises(actions.CannotMove, match="still under way"):
            actions.undo(act, by=at_acme.ann)
    else:
        actions.undo(act, by=at_acme.ann)

    assert where(letter) == ("Archive" if half_done else "INBOX")


# Counters and waking.


def counters(folder: Folder) -> tuple[int, int]:
    return Folder.objects.values_list("total", "unseen").get(pk=folder.pk)


def test_counters_follow_every_act(at_acme):
    inbox, archive, trash = (
        at_acme.folder(at_acme.ann_box, role)
        for role in (SpecialUse.INBOX, SpecialUse.ARCHIVE, SpecialUse.TRASH)
    )
    one, two = at_acme.message(inbox), at_acme.message(inbox, flags=[SEEN])
    assert counters(inbox) == (2, 1)

    mark(one, at_acme.ann, add=[SEEN, STARRED])
    assert counters(inbox) == (2, 0)
    mark(one, at_acme.ann, remove=[SEEN])
    act = actions.archive(some(one, two), by=at_acme.ann)
    assert (counters(inbox), counters(archive)) == ((0, 0), (2, 1))
    actions.undo(act, by=at_acme.ann)
    assert (counters(inbox), counters(archive)) == ((2, 1), (0, 0))
    actions.trash(some(one), by=at_acme.ann)
    actions.expunge(some(one), by=at_acme.ann)
    assert (counters(inbox), counters(trash)) == ((1, 0), (0, 0))


@pytest.mark.parametrize("verb", ["flag", "move", "expunge", "undo"])
def test_every_act_wakes_its_mailbox_and_no_other(at_acme, verb):
    trash = at_acme.folder(at_acme.ann_box, SpecialUse.TRASH)
    letter = at_acme.message(trash)
    act = mark(letter, at_acme.ann, add=[STARRED])
    Schedule.objects.update(due_at=None)

    if verb == "flag":
        mark(letter, at_acme.ann, add=[SEEN])
    elif verb == "move":
        actions.archive(some(letter), by=at_acme.ann)
    elif verb == "expunge":
        actions.expunge(some(letter), by=at_acme.ann)
    else:
        actions.undo(act, by=at_acme.ann)

    assert due(at_acme.ann_box)
    assert not due(at_acme.team_box)


def test_an_act_that_changes_nothing_wakes_nobody(at_acme):
    letter = at_acme.message(at_acme.folder(at_acme.ann_box), flags=[SEEN])

    mark(letter, at_acme.ann, add=[SEEN])

    assert not due(at_acme.ann_box)


def due(mailbox: Mailbox) -> bool:
    return Schedule.objects.get(mailbox=mailbox).due_at is not None
