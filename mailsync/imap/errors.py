"""What can go wrong at the mail server, each with a sentence for people, and how a server's words tell which it is.

The words are those of Dovecot, Gmail, Exchange, Yahoo and others as their users report them: RFC 5530 has codes for
most of it, and many servers do not use them.
"""

import re
from collections.abc import Iterable

# Response codes (RFC 5530 and, for THROTTLED, Gmail's) that ask for patience wherever they come.
PATIENCE = ("UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG", "CONTACTADMIN", "THROTTLED")
# Codes beside which a refusal may say that we ask too much. Any other is about something else.
_MAY_BE_TOO_MUCH = {*PATIENCE, "OVERQUOTA", "ALERT", ""}
# Words that mean: we ask too much. Not OVERQUOTA alone, which is a full mailbox; Gmail says it of its bandwidth, too.
_TOO_MUCH = re.compile(
    r"throttled|rate limit|bandwidth limit|too many (?:simultaneous |open |active )?(?:connections|requests|login)"
    r"|(?:maximum|max\.?) (?:number of )?(?:user )?connections|connection limit"
    r"|authenticated but not connected",  # Exchange, when a login has used up its share
    re.IGNORECASE,
)
_FULL = re.compile(
    r"\[OVERQUOTA\]|over ?quota|quota (?:is |was |has been )?exceeded|exceed\w* (?:the |your )?quota"
    r"|mailbox (?:is )?full",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")  # NUL: the database takes none
_CODE = re.compile(r"\[([A-Z0-9-]+)", re.IGNORECASE)
_BACK_OFF = re.compile(r"back-?off time: (\d{1,18}) milliseconds", re.IGNORECASE)  # Exchange
_MOST_WAIT = 6 * 3600
# Why a login is refused, by what the server says; the first that matches.
_REASONS = (
    (r"\[EXPIRED\]", "The password has expired. Set a new one at your provider, then enter it here"),
    (r"\[PRIVACYREQUIRED\]", "The server takes the password only over a protected connection: choose TLS"),
    (r"\[AUTHORIZATIONFAILED\]", "The password is right, but this login may not open this mailbox"),
    (
        r"app(?:lication)?[- ]?specific password|app password",
        "The server wants an app password instead of the usual one",
    ),
    (
        r"web ?login|via your web browser|WEBALERT",
        "The provider wants you to sign in on its web page first",
    ),
    (
        r"not enabled for IMAP|IMAP (?:access )?is (?:disabled|not enabled)|enable IMAP",
        "IMAP is switched off for this mailbox. Switch it on in the provider's settings",
    ),
    (
        r"basic auth\w* (?:is )?(?:disabled|blocked)|LOGINDISABLED",
        "The provider takes no passwords any more, only its own sign-in page",
    ),
)


class ServerError(Exception):
    """Base of all trouble with a mail server. `sentence` may be shown on the page; it holds no secret.

    `step` names the stage of connecting at which it happened: name, connect, tls, login, folders, session.
    """

    def __init__(self, sentence: str, *, step: str = "session") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.step = step


class Unreachable(ServerError):
    """No usable connection: unknown name, refused, timed out, TLS failed. Worth trying again later."""


class Refused(ServerError):
    """The server does not accept the login. Trying again with the same password only locks people out."""


class Withdrawn(Refused):
    """The consent to read this mailbox was taken back, by the person or the provider: only they can give it anew."""


class Busy(ServerError):
    """The server asks for patience (too many connections, rate limit, temporary failure).

    `seconds` is how long, where it says so, else 0. Never the fault of a password.
    """

    def __init__(self, sentence: str, *, step: str = "session", seconds: int = 0) -> None:
        super().__init__(sentence, step=step)
        self.seconds = seconds


class Broken(ServerError):
    """The connection died or the answer made no sense; the session is of no more use."""


class TooSlow(Broken):
    """An answer has taken all the time that the job has; it was on its way still."""


def no_connection(error: ServerError) -> bool:
    """Whether there was none: nothing that a login or its settings for TLS are to blame for."""
    return isinstance(error, Unreachable | Broken) and error.step == "connect"


class FolderGone(ServerError):
    """The folder does not open; the others may."""


class CommandRefused(ServerError):
    """A tagged NO or BAD. `final` tells whether asking again can help; `half_done` that something of it was done: a
    copy is there whose original the server would not remove, or some of many were moved."""

    def __init__(self, sentence: str, *, final: bool) -> None:
        super().__init__(sentence)
        self.final = final
        self.half_done = False


class NoRoom(CommandRefused):
    """The mailbox is full: nothing more can be put into it until somebody makes room (RFC 9208)."""


class NotUnderstood(CommandRefused):
    """A tagged BAD: nothing was done, whatever the server says that it can do (RFC 9051 7.1.3)."""


class ForbiddenText(CommandRefused):
    """CR, LF or NUL on its way into a command, or a flag that is none: we refuse it before any server can, so it is
    never sent (SYNC_CASES finding 1)."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, final=True)


def too_much(text: str, *, step: str = "session") -> Busy | None:
    """The server's words as Busy, if they say that we ask too much of it, in whatever kind of answer."""
    if not _TOO_MUCH.search(text):
        return None
    asked = _BACK_OFF.search(text)
    seconds = min(int(asked.group(1)) // 1000 + 1, _MOST_WAIT) if asked else 0
    return Busy(f"The server asks us to slow down: “{_words(text)}”.", step=step, seconds=seconds)


def login_refused(text: str, *, bearer: bool = False) -> Refused | Busy:
    """The server's NO to a login, as the error that says whether trying again can help."""
    if busy := too_much(text, step="login"):
        return busy
    if any(f"[{code}" in text.upper() for code in PATIENCE):
        return Busy(f"The server asks to try later: “{text}”.", step="login")
    reason = next((why for words, why in _REASONS if re.search(words, text, re.IGNORECASE)), "")
    what = "The server does not accept the consent for this mailbox" if bearer else ""
    reason = reason or what or "The server refuses this login and password"
    return Refused(f"{reason}: “{_words(text)}”.", step="login")


def refusal(text: str, *, understood: bool = True, said: Iterable[str] = ()) -> CommandRefused | Busy:
    """A tagged NO, or BAD if not `understood`; final unless the server says that it is only for now.

    `said` are the names of our command: servers repeat them, and what a folder is called says nothing of the server.
    """
    text = _CONTROL.sub(" ", text)
    code = found[1].upper() if (found := _CODE.match(text)) else ""
    words = text
    for name in said:
        if _TOO_MUCH.search(name) or _FULL.search(name):
            words = words.replace(name, "")
    if code in _MAY_BE_TOO_MUCH and (too_busy := too_much(words)):
        return too_busy
    if _FULL.search(words):
        return NoRoom(f"The mailbox is full on the mail server: “{_words(text)}”.", final=True)
    kind = CommandRefused if understood else NotUnderstood
    return kind(f"“{text[:300]}”", final=code not in PATIENCE)


def _words(text: str) -> str:
    """Without the code for machines."""
    return re.sub(r"^\[[A-Z0-9-]+\]\s*", "", text[:300]).rstrip(". ")
