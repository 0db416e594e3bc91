"""PURE: what to do when server and replica differ. No Django, no sockets; values in, actions out.

The case table (one row, one test in tests/sync/test_plan.py):

| server has UID | we have a placement | else                                     | action                |
|----------------|---------------------|------------------------------------------|-----------------------|
| above uid_seen | no                  | known in this mailbox                    | Place                 |
| above uid_seen | no                  | unknown, received in the window          | Import                |
| above uid_seen | no                  | unknown and older; tombstone; leaving    | nothing               |
| above uid_seen | yes                 | (crash before Advance)                   | Reflag if they differ |
| at or below    | yes                 | flags differ after rebase                | Reflag                |
| at or below    | no                  | (purged, discarded, moved by us)         | nothing               |
| no             | yes, uid set        |                                          | Vanish                |
| no             | yes, uid empty      | its move is pending                      | nothing               |
| no             | yes, uid empty      | its move is over                         | Vanish                |
| UIDVALIDITY differs | any            |                                          | Forget, plan again    |

"Leaving" = an open move or expunge of ours names the UID, or one that is done and the server only marked it \\Deleted:
what an employee took away does not come back.

Laws (tests/sync/test_laws.py): 1. After two quiet cycles replica = server, less tombstones and what is older
than the window. 2. A pull before a push changes nothing the employee did. 3. No body is downloaded twice. 4. Any prefix
of a plan, then starting again, ends in the same state. 5. Nothing but an Operation changes the server.
"""
