"""Mail: the replica of every connected mailbox, the engine that keeps it true, and the screens.

We own mailboxes, folders, messages and their bytes, and the queue of what employees want done on the server.
The laws:

1. The mail server is the truth; our rows are a replica and a queue of intentions (`Operation`).
2. `sync.plan` decides, purely; `engine` carries out. Nothing but an Operation changes the server.
3. Rows and cursors change in one transaction; a worker that lost its lease cannot write.
4. What an employee did here is shown at once, and no pull undoes it while the server has not heard of it.
5. Nothing here reaches upwards: crm, tasks and retention point down at messages.
"""
