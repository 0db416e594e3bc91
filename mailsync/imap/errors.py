"""What can go wrong at the mail server, each with a sentence for people."""


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


class Busy(ServerError):
    """The server asks for patience (too many connections, rate limit, temporary failure)."""


class Broken(ServerError):
    """The connection died or the answer made no sense; the session is of no more use."""


class FolderGone(ServerError):
    """The folder does not open; the others may."""


class CommandRefused(ServerError):
    """A tagged NO or BAD. `final` tells whether asking again can help."""

    def __init__(self, sentence: str, *, final: bool) -> None:
        super().__init__(sentence)
        self.final = final


class ForbiddenText(ValueError):
    """CR, LF or NUL on its way into a command: an attack or a bug, never sent (SYNC_CASES finding 1)."""
