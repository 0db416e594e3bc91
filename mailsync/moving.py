"""A move at a server without MOVE is a COPY and a removal. A worker may end between the two; the next goes on there."""

from collections import defaultdict
from collections.abc import Mapping

from mailsync.imap.errors import CommandRefused
from mailsync.importing import header_hash
from mailsync.models import Folder
from mailsync.run import Run

NEW = b""  # of what was not asked before: no copy of ours is there
SLACK = 5_000  # so many newest messages of the target are looked at beside those that are to come


def resume(run: Run, source: bytes, target: Folder, wanted: Mapping[int, bytes]) -> dict[int, int]:
    """Move what a worker may have copied already; `wanted` has each UID's header hash (mailsync.importing).

    Returns the new UIDs as far as they are known. Raises CommandRefused or FolderGone.
    """
    there = _copied(run, target, wanted)
    run.server.open(source)
    rest = [uid for uid in wanted if uid not in there]
    try:
        run.server.delete_copied([uid for uid in wanted if uid in there])
        new = run.server.move(rest, bytes(target.name), target.uidvalidity) if rest else {}
    except CommandRefused as error:
        error.half_done |= bool(there)
        raise
    return {**there, **new}


def _copied(run: Run, target: Folder, wanted: Mapping[int, bytes]) -> dict[int, int]:
    """UIDs whose COPY has arrived although its answer was lost, with those in the target. Of equal mail each has its
    own."""
    opened = run.server.open(bytes(target.name))
    if not opened.exists:
        return {}
    newest = run.server.list_messages(max(1, opened.exists - SLACK - len(wanted) + 1), opened.exists)
    sizes = {message.uid: message.size for message in newest if message.uid > target.uid_seen}
    arrived: dict[bytes, list[int]] = defaultdict(list)
    for uid, header in sorted(run.server.headers(sizes).items(), reverse=True):
        arrived[header_hash(header, sizes[uid])].append(uid)
    return {uid: arrived[key].pop() for uid, key in sorted(wanted.items()) if arrived[key]}
