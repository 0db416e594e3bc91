"""Tasks: work to do, and the mail it is about (Celery's are called jobs).

We own tasks and what hangs on them. A link to a message protects it: while a task lives, its mail stays, whatever the
plan, the mail server or a disconnected mailbox say. Who sees a task reads the mail bound to it through the task's own
door (`access`), and through no other. Nothing here can reach a mail server.
"""
