"""The only upward calls: mail that has just been stored, and a letter that goes, is taken back or has left, told to
whoever stands above mail.

Arrivals are sent once for a batch, inside of the transaction that stores it and after its locks are taken (schedule,
folder, placements), so that what a receiver writes exists together with the mail or not at all. A receiver must look up
nothing where it has nothing to do, touch no network, and lock only rows of its own.
"""

from django.dispatch import Signal

# folder: Folder; arrived: dict of Message.pk to importing.Prepared, which may hold messages that were known already.
message_arrived = Signal()

# outgoing: Outgoing, each inside of the transaction that says so. Queued: its bytes are fixed, it leaves by itself.
# Recalled: it did not, and is a draft again (called while it still has its bytes). Sent: a server has taken it.
letter_queued = Signal()
letter_recalled = Signal()
letter_sent = Signal()
