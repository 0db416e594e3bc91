"""The catalogue of cases that sync must survive, at a server of each kind for A to F and J (full and bare in every run,
nocond and noplus with -m slow), once for the others. After each case a client that is not ours reads the server and
judges (conftest.Case): rows = server, every mail is there as often as it must be, one more run writes nothing.

| id | where, or why not |
|---|---|
| A04 | tests/test_watcher.py (IDLE) |
| B04 to B07 | tests/sending/test_faults.py, tests/sending/test_filing.py |
| B12 | an address is connected once in a company: tests/connecting |
| B13 | the CRM's receiver of messages |
| C13 | nothing is ENABLEd: the answer to SELECT decides |
| D06, D07 | tests/engine/test_pull.py, tests/faults (X34): the brake holds them back until a person answers |
| E05, X18, X26 | tests/engine/test_interruption.py |
| E06 | tests/faults/test_deaths.py: a deploy ends the workers |
| E09 | tests/imap/test_scripted.py |
| E11 | tests/test_schedule.py, tests/retention/test_purge.py |
| F13 | tests/sending/test_filing.py |
| J02, J03, J06, J08 | tests/imap/test_gateway.py, tests/imap/test_scripted.py, tests/folders/test_folder_names.py |
| J11, J12 | tests/folders/test_two_way.py |
| G03 | QRESYNC is not used (docs/architecture.md) |
| G04, G05, G07 | the profiles noplus and bare; appending: tests/sending |
| G09, G10 | tests/test_schedule.py: the poll never stops, IDLE or not |
| G11, G12 | tests/connecting/test_what_we_know.py, tests/folders/test_folder_names.py |
| G13 | tests/imap/test_scripted.py, tests/oauth |
| G14 | nothing is searched for by text on the server |
| H01 to H04, H07 | tests/gmail |
| H05, L11, L12 | tests/test_schedule.py (lanes), tests/test_watcher.py, the profile bare |
| H06, H10 | tests/health/test_trying_again.py; a minute without a byte is a server that hangs |
| H08, H09 | tests/imap/test_answers.py, tests/test_watcher.py |
| I01, I02 | tests/imap/test_uids.py, tests/imap/test_gateway.py, benchmarks/large_folder.py |
| I07, I10 | tests/imap/test_scripted.py, tests/mime/test_parse.py (bombs) |
| I09 | benchmarks/sync.py |
| K08, K09, K11 to K14, K16, K17 | tests/imap/test_scripted.py, tests/imap/test_uids.py |
| K15, K22 | tests/imap/test_answers.py, test_j_names.py |
| K18 | no body is read twice: law 3, tests/sync/test_laws.py |
| L01 to L06, L15 | tests/imap/test_scripted.py, tests/engine/test_trouble.py |
| L07 to L09 | tests/oauth |
| L10 | tests/test_watcher.py |
| L13 | tests/test_netguard.py |
| L14 | tests/test_schedule.py, tests/test_watcher.py, tests/faults/test_faults.py |
"""
