"""Message: one RFC 5322 message in one mailbox, and the attachments found in it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import reduce
from operator import or_

from django.db import models
from django.db.models import Case, Exists, F, ManyToOneRel, OuterRef, Q, Value, When
from django.db.models.functions import Coalesce, Least, Now

from accounts.models import Account
from mailsync.models.blob import Blob
from mailsync.models.mailbox import Mailbox

# What servers say who know no date: the zero of a clock, in any zone.
NO_DATE = datetime(1970, 1, 3, tzinfo=UTC)


def holders(*, apart_from: models.QuerySet[models.Model] | None = None) -> Iterator[Exists]:
    """For each kind of row that may hold a message, whether one does."""
    for relation in Message._meta.get_fields(include_hidden=True):
        if isinstance(relation, ManyToOneRel) and relation.on_delete is models.PROTECT:
            rows = relation.related_model._base_manager.filter(**{relation.field.name: OuterRef("pk")})
            if apart_from is not None and apart_from.model is relation.related_model:
                rows = rows.exclude(pk__in=apart_from.values("pk"))
            yield Exists(rows)


@dataclass(frozen=True, slots=True)
class Bond:
    """A kind of link to messages, as lists name it: "task". Stands as `bond` on the model whose rows are the links.

    `where` narrows to the links that hold now: SQL about the row `link`.
    """

    name: str
    where: str = "TRUE"
    table: str = ""
    column: str = ""

    def sql(self, message_id: str) -> str:
        """true, or NULL where nothing of this kind binds the message."""
        return (
            f"(SELECT true FROM {self.table} link "  # noqa: S608 (names of ours)
            f"WHERE link.{self.column} = {message_id} AND {self.where} LIMIT 1)"
        )


def bonds() -> Iterator[Bond]:
    """What may bind a message, found by the foreign keys that point at it: mail knows no names."""
    for relation in Message._meta.get_fields(include_hidden=True):
        if isinstance(relation, ManyToOneRel) and isinstance(
            bond := getattr(relation.related_model, "bond", None), Bond
        ):
            table, column = relation.related_model._meta.db_table, relation.field.attname
            yield replace(bond, table=table, column=column)


class MessageQuerySet(models.QuerySet["Message"]):
    """Messages by what may become of them."""

    def free(self, *, apart_from: models.QuerySet[models.Model] | None = None) -> "MessageQuerySet":
        """Those that nothing above mail holds; the rows of `apart_from` count as gone.

        Whoever must keep a message says so by a foreign key that PROTECTs it: mail asks the keys and knows no names.
        """
        free = self
        for holder in holders(apart_from=apart_from):
            free = free.exclude(holder)
        return free

    def with_held(self) -> "MessageQuerySet":
        """Annotates `held`: whether anything above mail holds it."""
        return self.annotate(held=_is_held())

    def held(self) -> "MessageQuerySet":
        return self.filter(_is_held())


def _is_held() -> Q:
    return reduce(or_, map(Q, holders()), Q(pk__in=[]))


class Message(models.Model):
    """header + the body (mailsync.blobs) is the original, byte for byte. Everything else is derived from it for lists.

    `identity` = sha256(header bytes + digest of the body): the bytes and nothing else, so no two mails are one.
    `header_hash` = sha256(header bytes + size as told): what can be told without fetching the body; see replica.load.
    Texts are cleaned of NUL, which PostgreSQL cannot hold, and cut to what a list can show.
    """

    # The account is asked for by the row that this one refers to: a key of its own would do so again for each message.
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="+"
    )
    mailbox = models.ForeignKey(Mailbox, on_delete=models.PROTECT, db_index=False, related_name="messages")
    identity = models.BinaryField(max_length=32)
    header_hash = models.BinaryField(max_length=32)
    header = models.BinaryField()
    body = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    # Bytes of header and body together, as fetched.
    size = models.PositiveBigIntegerField()
    # RFC822.SIZE, where the server told another: what it tells is compared with this one. NULL for nearly all mail.
    told_size = models.BigIntegerField(null=True)
    message_id = models.TextField(blank=True)
    # What Gmail calls it in all of its folders (X-GM-MSGID); NULL elsewhere.
    server_id = models.BigIntegerField(null=True)
    subject = models.TextField(blank=True)
    sender_name = models.TextField(blank=True)
    sender_address = models.TextField(blank=True)
    # {"to": [[name, address], …], "cc": […]}; at most 50 each are kept here, the rest is in the header.
    recipients = models.JSONField(default=dict)
    # The Date header, if it can be read; shown, never used for age.
    sent_at = models.DateTimeField(null=True)
    # INTERNALDATE: the date every rule of age uses.
    received_at = models.DateTimeField()
    snippet = models.TextField(blank=True)
    has_attachments = models.BooleanField(default=False)
    # When we got it; NULL for what was here before this was written down.
    stored_at = models.DateTimeField(null=True, db_default=Now())
    # From when its age counts: the date of receipt, or when we first saw it where that is none or later.
    ages_from = models.GeneratedField(
        expression=Case(
            When(received_at__lt=Value(NO_DATE), then=Coalesce("stored_at", "received_at")),
            default=Least(F("received_at"), F("stored_at")),
        ),
        output_field=models.DateTimeField(),
        db_persist=True,
    )
    # Why the MIME structure could not be read; "" for nearly all mail. The original is kept anyway.
    parse_problem = models.TextField(blank=True)
    # Since when no folder holds it; NULL while placed. The discard of unplaced mail waits a grace period,
    # because a move by another program is gone here before it is new there.
    unplaced_since = models.DateTimeField(null=True)

    objects = MessageQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mailbox", "identity"], name="message_once_a_mailbox")]
        indexes = [
            models.Index(fields=["mailbox", "received_at"], name="message_by_date"),
            # Holds all that counting by age asks for, the account for the wall: messages are wide, and are not read.
            models.Index(
                fields=["mailbox", "ages_from"], name="message_by_age", include=["id", "account", "size"]
            ),
            # The few whose age does not count from their date: lists by date ask how far they reach.
            models.Index(
                fields=["mailbox", "ages_from"],
                name="message_postdated",
                include=["account", "received_at"],
                condition=Q(received_at__gt=F("stored_at")),
            ),
            models.Index(fields=["mailbox", "message_id"], name="message_by_message_id"),
            models.Index(fields=["mailbox", "header_hash"], name="message_by_header"),
            models.Index(
                fields=["mailbox", "server_id"],
                name="message_by_server_id",
                condition=Q(server_id__isnull=False),
            ),
            models.Index(
                fields=["mailbox", "unplaced_since"],
                name="message_unplaced",
                condition=Q(unplaced_since__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.subject or f"message {self.pk}"


class Attachment(models.Model):
    """A part that is a file. `part` is its number in the order of the MIME walk (mime.parse), from 0."""

    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="+"
    )
    message = models.ForeignKey(Message, on_delete=models.CASCADE, db_index=False, related_name="attachments")
    part = models.PositiveIntegerField()
    name = models.TextField()
    type = models.CharField(max_length=200)
    # Decoded bytes.
    size = models.PositiveBigIntegerField()
    content_id = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["message", "part"], name="attachment_once")]

    def __str__(self) -> str:
        return self.name
