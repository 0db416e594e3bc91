"""The mailbox of the model: its mails, and the two who change it, Ann here and a phone there."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from imaplib import IMAP4

from django.db import transaction
from django.utils import timezone

from crm import activities, arrivals
from crm.models import Activity, ActivityKind, Contact
from mailsync import actions, connecting, discarding, folders, settling
from mailsync.connecting import Choice
from mailsync.models import OPEN, Act, Folder, Message, Operation, OperationKind, Placement, SpecialUse
from mailsync.roles import CHOOSABLE, FoundFolder
from retention.purge import purge
from tasks import actions as tasks
from tasks import binding
from tasks.models import Task
from tests.catalogue.conftest import Case
from tests.model import worlds
from tests.model.worlds import GONE, Found, Letter, World
from tests.rigs import judge
from tests.rigs.judge import FolderView
from tests.rigs.mailserver import SignedInServer
from tests.rigs.proxy import FULL, NOCOND
from tests.world import FOLDERS as ROLES

PLANS = "Plans"  # the one that is renamed: by what we call it, whatever its name is
FOLDERS = ("INBOX", "Archive", "Trash", PLANS)
FLAGS = ("\\Seen", "\\Flagged", "$Work")
PHONE_FLAGS = (*FLAGS, "\\Deleted")  # marked and never expunged by whoever did it: nor by us
MOST_LETTERS, MOST_COPIES = 8, 3
OLD_DAYS, YOUNG_DAYS, PURGED_AFTER_DAYS = 60, 1, 90


@dataclass
class Mail:
    """One mail, of which the server may have copies. `taken`: a purge may have removed it here; `away`: it has."""

    subject: str
    sha: str
    is_old: bool
    letters: list[Letter]
    task: Task | None = None
    taken: bool = False
    away: bool = False

    @property
    def there(self) -> list[Letter]:
        return [letter for letter in self.letters if letter.places() != {GONE}]


@dataclass
class Backup:
    """Of our database: a savepoint of it, and what the model knew then."""

    savepoint: str
    worlds: dict[Letter, set[World]]
    mails: dict[str, tuple[Task | None, bool, bool]]  # by subject: task, taken, away
    names: set[str]
    kept: set[str]
    unlinked: set[str]


@dataclass
class ModelBox:
    """Each act takes numbers that choose among what there is, and does nothing where there is nothing to choose."""

    case: Case
    server: SignedInServer
    client: Contact  # who writes all of it; INBOX feeds CRM
    mails: list[Mail] = field(default_factory=list)
    names: set[str] = field(default_factory=lambda: {PLANS})  # of the folder that is renamed, as it may be
    is_stale: bool = False  # another program has renamed it since the last whole run
    last: tuple[Act, Letter, Callable[[], worlds.Event]] | None = None  # what Ann did; its undoing, as of now
    backup: "Backup | None" = None
    kept: set[str] = field(default_factory=set)  # subjects that are with the client
    unlinked: set[str] = field(default_factory=set)  # Ann decided that they are not
    stayed: set[str] = field(default_factory=set)  # came to INBOX, and nobody moved them
    fed: set[str] = field(default_factory=set)  # may have been in INBOX
    count: int = 0
    nights: int = 0

    # What there is.

    def number(self) -> int:
        self.count += 1
        return self.count

    def all_meet(self, event: worlds.Event) -> None:
        for mail in self.mails:
            for letter in mail.letters:
                letter.meets(event)

    def choose(self, choice: int) -> tuple[Mail, Letter] | None:
        """A letter, with its mail."""
        there = [(mail, letter) for mail in self.mails for letter in mail.there]
        return there[choice % len(there)] if there else None

    def mail_of(self, letter: Letter) -> Mail:
        return next(mail for mail in self.mails if letter in mail.letters)

    def look(self) -> dict[bytes, FolderView]:
        """What the server has must be what it may have; from now on we know."""
        view = self._server()
        found: dict[str, list[Found]] = defaultdict(list)
        for name, folder in view.items():
            for row in folder.rows.values():
                found[row.sha256].append((self.place_of(name.decode()), row.flags))
        for mail in self.mails:
            wrong = worlds.look(mail.letters, found.pop(mail.sha, []))
            assert not wrong, f"{mail.subject} {wrong}"
        assert not found, "mail of nobody"
        there = self._renamed(view)
        if not self.case.waits():
            self.names = {there}
        return view

    def _server(self) -> dict[bytes, FolderView]:
        """Less what we left behind there: even Dovecot has said OK to an EXPUNGE and kept the mail, marked \\Deleted,
        when a phone flagged it at that moment."""
        view = judge.server_view(self.server, self.case.login)
        if any("\\Deleted" in row.flags for folder in view.values() for row in folder.rows.values()):
            behind = judge.left_behind(self.case.mailbox)
            for name, folder in view.items():
                for uid, row in list(folder.rows.items()):
                    if "\\Deleted" in row.flags and (name, folder.uidvalidity, uid) in behind:
                        del folder.rows[uid]
        return view

    def _renamed(self, names: Iterable[bytes]) -> str:
        """How the folder that is renamed is called on the server, which has these."""
        [there] = {name.decode() for name in names} - {*ROLES}
        assert there in self.names, f"{there}, and it should be one of {self.names}"
        return there

    def place_of(self, name: str) -> str:
        return name if name in ROLES else PLANS

    def name_of(self, place: str, client: IMAP4) -> str:
        if place != PLANS:
            return place
        if len(self.names) > 1:
            return self._renamed(judge.folder_names(client))
        return next(iter(self.names))

    # The phone.

    def deliver(self, to: int, _other: int, is_old: bool) -> None:
        if sum(len(mail.there) for mail in self.mails) >= MOST_LETTERS:
            return
        place, subject = FOLDERS[to % len(FOLDERS)], f"Letter {self.number()}."
        with self.server.imap(self.case.login) as client:
            name = self.name_of(place, client)
        self.case.deliver(subject, folder=name, days_ago=OLD_DAYS if is_old else YOUNG_DAYS)
        self.mails.append(Mail(subject, self.case.shas[subject], is_old, [Letter([World(place)])]))
        if place == "INBOX":
            self.stayed.add(subject)
            self.fed.add(subject)

    def is_moved(self, mail: Mail, place: str) -> None:
        """By whomever, or copied."""
        self.stayed.discard(mail.subject)
        if place == "INBOX":
            self.fed.add(mail.subject)

    def phone_letter(self, choice: int) -> tuple[Mail, Letter, str] | None:
        """One that the phone can tell from its copies, with its place."""
        if (chosen := self.choose(choice)) is None:
            return None
        mail, letter = chosen
        if any(len(each.places()) > 1 for each in mail.letters):
            self.look()
        places = [place for each in mail.letters for place in each.places()]
        [place, *others] = letter.places()
        return None if others or place == GONE or places.count(place) > 1 else (mail, letter, place)

    def tell(self, mail: Mail, place: str, command: str, *words: str, to: str = "") -> None:
        """A UID command about the mail in this folder; `to` is another folder's place."""
        with self.server.imap(self.case.login) as client:
            client.select(f'"{self.name_of(place, client)}"')
            _, [uid] = client.uid("SEARCH", "HEADER", "Subject", f'"{mail.subject}"')
            assert len(uid.split()) == 1, (mail, place, uid)
            target = [f'"{self.name_of(to, client)}"'] if to else []
            kind, said = client.uid(command, uid.decode(), *words, *target)
            assert kind == "OK", said

    def phone_flags(self, choice: int, which: int, on: bool) -> None:
        if chosen := self.phone_letter(choice):
            mail, letter, place = chosen
            flag = PHONE_FLAGS[which % len(PHONE_FLAGS)]
            self.tell(mail, place, "STORE", "+FLAGS" if on else "-FLAGS", f"({flag})")
            letter.meets(worlds.flagged(flag, on))

    def phone_moves(self, choice: int, to: int, _on: bool) -> None:
        if chosen := self.phone_letter(choice):
            mail, letter, place = chosen
            if (target := self._free_target(mail, to)) and target != place:
                self.tell(mail, place, "MOVE", to=target)
                letter.meets(worlds.moved(target))
                self.is_moved(mail, target)

    def phone_copies(self, choice: int, to: int, _on: bool) -> None:
        if chosen := self.phone_letter(choice):
            mail, letter, place = chosen
            if (target := self._free_target(mail, to)) and len(mail.letters) < MOST_COPIES:
                self.tell(mail, place, "COPY", to=target)
                # In a folder that was rebuilt the copy may be taken for the mail that was flagged there.
                flags = {
                    (world.flags, wish) for world in letter.worlds for wish in (frozenset(), world.wish_flags)
                }
                mail.letters.append(Letter([World(target, now, wish) for now, wish in flags]))
                self.is_moved(mail, target)

    def _free_target(self, mail: Mail, to: int) -> str:
        """A folder that has no copy of the mail."""
        place = FOLDERS[to % len(FOLDERS)]
        return "" if any(place in each.places() for each in mail.letters) else place

    def phone_removes(self, choice: int, _to: int, _on: bool) -> None:
        if chosen := self.phone_letter(choice):
            mail, letter, place = chosen
            self.tell(mail, place, "STORE", "+FLAGS", "(\\Deleted)")
            self.tell(mail, place, "EXPUNGE")
            letter.meets(worlds.moved(GONE))

    def phone_renames(self, _choice: int, _to: int, _on: bool) -> None:
        name = f"Phone's {self.number()}"
        with self.server.imap(self.case.login) as client:
            kind, said = client.rename(f'"{self.name_of(PLANS, client)}"', f'"{name}"')
            assert kind == "OK", said
        self.names, self.is_stale = {name}, True
        self.all_meet(worlds.renamed(PLANS))

    def phone_deletes_folder(self, _choice: int, _to: int, _on: bool) -> None:
        name = f"Phone's {self.number()}"
        with self.server.imap(self.case.login) as client:
            for kind, said in (client.delete(f'"{self.name_of(PLANS, client)}"'), client.create(f'"{name}"')):
                assert kind == "OK", said
        self.names, self.is_stale = {name}, True
        self.all_meet(worlds.folder_deleted(PLANS))

    def server_rebuilds(self, which: int, _to: int, _on: bool) -> None:
        place = FOLDERS[which % len(FOLDERS)]
        self._update(place, "--uid-validity", str(2_000_000_000 + self.number()))
        self.all_meet(worlds.rebuilt(place))

    def server_skips_uids(self, which: int, gap: int, _on: bool) -> None:
        place = FOLDERS[which % len(FOLDERS)]
        with self.server.imap(self.case.login) as client:
            _, [said] = client.status(f'"{self.name_of(place, client)}"', "(UIDNEXT)")
        uidnext = int(said.split()[-1].strip(b")"))
        self._update(place, "--min-next-uid", str(uidnext + 1 + gap * 50))

    def _update(self, place: str, *words: str) -> None:
        with self.server.imap(self.case.login) as client:
            name = self.name_of(place, client)
            self.server.doveadm("mailbox", "update", "-u", self.case.login, *words, name)
            client.select(f'"{name}"', readonly=True)  # the first look after two of these may show too few

    def server_changes_its_abilities(self, _which: int, _to: int, on: bool) -> None:
        self.case.line.profile = FULL if on else NOCOND

    # Ann.

    def ann_letter(self, choice: int) -> tuple[Letter, Placement] | None:
        """One that is shown to her at one place, as often as she can tell its copies apart."""
        if (chosen := self.choose(choice)) is None:
            return None
        mail, letter = chosen
        rows = Placement.objects.select_related("folder")
        with self.case.acting():
            shown = list(rows.filter(folder__mailbox=self.case.mailbox, message__subject=mail.subject))
        if len(mail.letters) > 1:
            others = [each for each in mail.letters if each is not letter]
            if not all(each.is_certain() for each in mail.letters) or any(
                letter.shown() & each.shown() for each in others
            ):
                return None
            shown = [each for each in shown if self.place_of(each.folder.path) in letter.shown()]
        return (letter, shown[0]) if len(shown) == 1 else None

    def ann_flags(self, choice: int, which: int, on: bool) -> None:
        if chosen := self.ann_letter(choice):
            letter, placement = chosen
            flag = FLAGS[which % len(FLAGS)]
            with self.case.acting():
                act = actions.set_flags(
                    [placement.pk],
                    add=[flag] if on else [],
                    remove=[] if on else [flag],
                    by=self.case.world.ann,
                )
            if act.count:
                letter.meets(worlds.wishes_flag(flag, on))
                self.last = act, letter, lambda: worlds.wishes_flag(flag, not on)

    def ann_moves(self, choice: int, to: int, _on: bool) -> None:
        chosen, target = self.ann_letter(choice), self.our_folder(FOLDERS[to % len(FOLDERS)])
        if chosen is None or target is None or target.pk == chosen[1].folder_id:
            return
        letter, placement = chosen
        try:
            with self.case.acting():
                act = actions.move([placement.pk], target, by=self.case.world.ann)
        except actions.CannotMove:
            return
        if act.count:
            letter.meets(self._wishes(self.place_of(target.path)))
            self.is_moved(self.mail_of(letter), self.place_of(target.path))
            back = self.place_of(placement.folder.path)
            self.last = act, letter, lambda: self._wishes(back)

    def _wishes(self, place: str) -> worlds.Event:
        return worlds.wishes_place(place, certain=not (self.is_stale and place == PLANS))

    def our_folder(self, place: str) -> Folder | None:
        with self.case.acting():
            ours = Folder.objects.filter(mailbox=self.case.mailbox, deleting=False).select_related("mailbox")
            named = ours.filter(path=place) if place != PLANS else ours.exclude(path__in=ROLES)
            return named.order_by("-pk").first()

    def ann_undoes(self, _choice: int, _to: int, _on: bool) -> None:
        if self.last is None:
            return
        act, letter, undoing = self.last
        self.last = None
        if any(letter in mail.letters and len(mail.letters) > 1 for mail in self.mails):
            return  # a move that came too late may have been taken for a copy's
        try:
            with self.case.acting():
                actions.undo(act, by=self.case.world.ann)
        except actions.CannotMove:
            return
        letter.meets(undoing())

    def ann_removes_for_good(self, choice: int, _to: int, _on: bool) -> None:
        """The next one that is in the Trash; where there is none, one goes there."""
        for nth in range(choice, choice + MOST_LETTERS):
            chosen = self.ann_letter(nth)
            if chosen and chosen[1].folder.special_use == SpecialUse.TRASH:
                with suppress(actions.CannotMove), self.case.acting():
                    actions.expunge([chosen[1].pk], by=self.case.world.ann)
                    chosen[0].meets(worlds.wishes_place(GONE))
                return
        self.ann_moves(choice, FOLDERS.index("Trash"), False)

    def ann_renames(self, _choice: int, _to: int, _on: bool) -> None:
        name, folder = f"Ann's {self.number()}", self.our_folder(PLANS)
        if folder is not None:
            try:
                with self.case.acting():
                    folders.rename_folder(folder, name, by=self.case.world.ann)
            except folders.CannotChange:
                return
            self.names.add(name)

    def ann_binds(self, choice: int, _to: int, _on: bool) -> None:
        """To a task, or away from it again."""
        if not self.mails:
            return
        mail = self.mails[choice % len(self.mails)]
        with self.case.acting():
            message = Message.objects.filter(mailbox=self.case.mailbox, subject=mail.subject).first()
            if mail.task is not None:
                assert message is not None, f"{mail.subject} was bound, and is gone"
                binding.unbind(mail.task, message.pk, by=self.case.world.ann)
                mail.task = None
            elif message is not None:
                mail.task = tasks.create_from([message], by=self.case.world.ann)
                mail.taken = False

    def ann_unlinks(self, choice: int, _which: int, _on: bool) -> None:
        """A mail from her client's record, or links it again."""
        with self.case.acting():
            rows = Activity.objects.filter(subject__in=self.kept | self.unlinked).order_by("pk")
            if not (found := list(rows)):
                return
            activity = found[choice % len(found)]
            if activity.subject in self.kept:
                activities.unbind(activity, None, by=self.case.world.ann, alone=True)
                goes, comes = self.kept, self.unlinked
            else:
                to = activities.ref_of(self.client)
                activities.bind(activity, to, by=self.case.world.ann, alone=True)
                goes, comes = self.unlinked, self.kept
        goes.discard(activity.subject)
        comes.add(activity.subject)

    def a_month_passes(self, _choice: int, _to: int, _on: bool) -> None:
        """And the purge runs, which does not call the server."""
        self.nights += 1
        days = PURGED_AFTER_DAYS - OLD_DAYS + self.nights
        calls = self.case.line.connections
        purge(self.case.world.acme.pk, timezone.now() + timedelta(days=days))
        assert self.case.line.connections == calls
        for mail in self.mails:
            mail.taken |= mail.is_old and mail.task is None

    def ann_connects_again(self, _choice: int, _to: int, discards: bool) -> None:
        """She lets the mailbox go and takes it back, before or after its copies are removed."""
        mailbox, case = self.case.reload(), self.case
        with self.server.imap(case.login) as client:
            names = judge.folder_names(client)
        with case.acting():
            settling.disconnect(mailbox, by=case.world.ann)
        if discards:
            discarding.discard_let_go(mailbox.account_id, mailbox.pk)
        with case.acting():
            connecting.connect(
                owner=case.world.ann,
                address=mailbox.address,
                settings=connecting.settings_of(mailbox),
                sealed=bytes(mailbox.secret),
                found=[FoundFolder(name, name.decode(), "/", "", True) for name in names],
                choice=Choice(names, {r: n.encode() for n, r in ROLES.items() if r in CHOOSABLE}),
                fetch_days=PURGED_AFTER_DAYS,
                by=case.world.ann,
            )
        case.reload()
        self.all_meet(worlds.forgets_flags)
        for mail in self.mails:
            mail.away = False

    # The operator.

    def backup_is_made(self, _choice: int, _to: int, _on: bool) -> None:
        self.drop_backup()
        self.backup = Backup(
            transaction.savepoint(),
            {letter: letter.worlds for mail in self.mails for letter in mail.letters},
            {mail.subject: (mail.task, mail.taken, mail.away) for mail in self.mails},
            set(self.names),
            set(self.kept),
            set(self.unlinked),
        )

    def drop_backup(self) -> None:
        """Else savepoints lie in each other."""
        if self.backup is not None:
            transaction.savepoint_commit(self.backup.savepoint)
            self.backup = None

    def backup_is_restored(self, _choice: int, _to: int, _on: bool) -> None:
        """The server has gone on since."""
        if (backup := self.backup) is None:
            return
        transaction.savepoint_rollback(backup.savepoint)
        self.drop_backup()
        with self.server.imap(self.case.login) as client:
            self.names = backup.names | {self._renamed(judge.folder_names(client))}
        self.is_stale, self.last = True, None
        self.kept, self.unlinked = backup.kept, backup.unlinked
        for mail in self.mails:
            mail.task, mail.taken, mail.away = backup.mails.get(mail.subject, (None, False, False))
            for letter in mail.letters:
                letter.meets(worlds.restored(backup.worlds.get(letter, set())))
        self.case.reload()

    # What is judged.

    def shows_what_waits(self) -> None:
        """What Ann asked for is on her screen from then on, whatever a run reads before the server has heard of it."""
        flags: dict[Placement, dict[str, bool]] = defaultdict(dict)
        goes_to: dict[Placement, int | None] = {}
        with self.case.acting():
            open_now = Operation.objects.filter(
                mailbox=self.case.mailbox, state__in=OPEN, placement__isnull=False
            )
            for operation in open_now.select_related("placement").order_by("pk"):
                assert operation.placement
                flags[operation.placement] |= dict.fromkeys(operation.remove, False)
                flags[operation.placement] |= dict.fromkeys(operation.add, True)
                if operation.kind == OperationKind.MOVE:
                    goes_to[operation.placement] = operation.target_id
        for placement, wanted in flags.items():
            wrong = [flag for flag, on in wanted.items() if (flag in placement.flags) is not on]
            assert not wrong, f"{placement.flags} are shown, and {wanted} was asked for"
            assert placement.folder_id == goes_to.get(placement, placement.folder_id), (
                "it is not shown where it goes"
            )

    def compare(self) -> None:
        """Database = server = model."""
        view = self.look()
        ours = judge.our_view(self.case.mailbox)
        here = {row.sha256 for folder in ours.values() for row in folder.rows.values()}
        for mail in self.mails:
            assert not (mail.away and mail.sha in here), f"{mail.subject} left, and is back"
            mail.away |= mail.taken and mail.sha not in here
            with self.case.acting():
                assert mail.task is None or Message.objects.filter(subject=mail.subject).count() == 1
        away = {mail.sha for mail in self.mails if mail.away}
        expected = {
            name: FolderView(
                folder.uidvalidity, {u: r for u, r in folder.rows.items() if r.sha256 not in away}, {}
            )
            for name, folder in view.items()
        }
        differing = {name: (ours.get(name), expected.get(name)) for name in {*ours, *expected}}
        wrong = {name: sides for name, sides in differing.items() if sides[0] != sides[1]}
        assert not wrong, f"here and there: {wrong}"
        self.compare_client(here)
        for mail in self.mails:
            mail.letters = mail.there
        self.mails = [mail for mail in self.mails if mail.letters or mail.task]

    def compare_client(self, here: Collection[str]) -> None:
        """What is with the client: each mail once, whatever became of it since; nothing that Ann took away."""
        with self.case.acting():
            mails = Activity.objects.filter(kind=ActivityKind.MAIL, bindings__contact=self.client)
            subjects = list(mails.values_list("subject", flat=True))
            inbox = Folder.objects.get(mailbox=self.case.mailbox, path="INBOX")
            feeds = arrivals.feed_of(inbox) is not None
        kept = set(subjects)
        assert len(subjects) == len(kept), f"twice with the client: {subjects}"
        came = {mail.subject for mail in self.mails if mail.sha in here} & self.stayed if feeds else set()
        assert not (lost := (self.kept | came) - kept - self.unlinked), f"not with the client: {lost}"
        assert not (wrong := kept & self.unlinked | kept - self.fed), f"with the client: {wrong}"
        self.kept = kept
