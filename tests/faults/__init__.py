"""Faults X01 to X40 of the list that concern sync, each with its expected outcome; those here with -m slow.

| id | where |
|---|---|
| X01, X08, X18, X26 | tests/engine/test_interruption.py |
| X02, X07 | a killed child's or worker's mailbox: X01, test_deaths.py, and the lease in tests/test_schedule.py |
| X03, X29 | tests/catalogue/test_e_interruption.py |
| X04 to X06 | test_deaths.py; giants stay there: A11; bombs: tests/mime/test_parse.py |
| X10 | tests/catalogue/test_b_duplicates.py (B03) |
| X11 | due dates are rows: tests/test_schedule.py (one hint a minute, the longest due first) |
| X12, X14 to X16, X20, X22 | test_servers_in_trouble.py; X16 in the quick suite: tests/accounts/test_health.py |
| X28 | tests/catalogue/test_e_interruption.py (E08) |
| X36 | tests/catalogue/test_f_flags.py (F06) |
| X37 | the profile bare |
| X17 | as X18 |
| X24, X25 | tests/test_blobs.py |
| X38, X51, X52 | tests/catalogue/test_c_identity.py (C12, C15, C14) |
| X09, X27, X30 to X34, X39, X40 | test_faults.py |
| X19 | test_cut_at_commit.py |
| X35 | tests/sending/test_filing.py (an APPEND that is refused) |
| X13, X21 | tests/retention/test_purge.py, tests/retention/test_cannot_lose.py |
| X23 | test_disk_full.py, where a small disk may be mounted |
| X41 to X56 | not of sync |
"""
