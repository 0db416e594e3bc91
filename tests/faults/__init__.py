"""Faults X01 to X40 of the list that concern sync, each with its expected outcome; those here with -m slow.

| id | where |
|---|---|
| X01, X08, X18, X26 | tests/engine/test_interruption.py |
| X02, X07 | a killed child's or worker's mailbox: X01, and the lease in tests/test_schedule.py |
| X03, X29 | tests/catalogue/test_e_interruption.py |
| X04, X05 | tests/catalogue/test_a_arrival.py (A11: giants stay there), tests/mime/test_parse.py (bombs) |
| X06 | not built: whoever dies of a mailbox three times in a row is not told from whoever died of something else |
| X10 | tests/catalogue/test_b_duplicates.py (B03) |
| X11, X12 | due dates are rows: tests/test_schedule.py (one hint a minute, the longest due first) |
| X14, X15 | hints only: tests/test_schedule.py |
| X28 | tests/catalogue/test_e_interruption.py (E08) |
| X36 | tests/catalogue/test_f_flags.py (F06) |
| X37 | the profile bare |
| X17 | as X18 |
| X24, X25 | tests/test_blobs.py |
| X38, X51, X52 | tests/catalogue/test_c_identity.py (C12, C15, C14) |
| X09, X27, X30 to X34, X39, X40 | here |
| X19 | test_cut_at_commit.py |
| X35 | tests/sending/test_filing.py (an APPEND that is refused) |
| X13, X21 | tests/retention/test_purge.py, tests/retention/test_cannot_lose.py |
| X16, X20, X22, X23 | of the database and Redis as a whole: no test |
| X41 to X56 | not of sync |
"""
