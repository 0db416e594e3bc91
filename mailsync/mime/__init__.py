"""What the bytes of a mail say, and what of it is safe to show. Pure: no Django, no sockets, no clock.

Everything that enters here was written by strangers. So each function has a bound on what it looks at and each
field is read under a guard of its own: a message may be shown badly, but never stops the mailbox it lies in.
"""
