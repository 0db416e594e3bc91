"""The catalogue of cases that sync must survive, A to F and J, at a server of each kind: full and bare in every run,
nocond and noplus with -m slow. After each case a client that is not ours reads the server and judges (conftest.Case):
rows = server, every mail is there as often as it must be, one more run writes nothing.

| id | where, or why not |
|---|---|
| A04 | tests/test_watcher.py (IDLE) |
| B04 to B07 | sending, with its own issue |
| B12 | an address is connected once in a company: tests/connecting |
| B13 | the CRM's receiver of messages |
| C13 | nothing is ENABLEd: the answer to SELECT decides |
| D06, D07 | tests/engine/test_pull.py, tests/faults (X34): the brake holds them back until a person answers |
| E05, X18, X26 | tests/engine/test_interruption.py |
| E06, E09, E12 | Celery's limits end a worker (280 s, 300 s); then E04 |
| E11 | tests/test_schedule.py; nothing is purged yet |
| F08 | keywords are sent whatever PERMANENTFLAGS says; a server that does not keep them wins at the next look |
| F13 | answering and forwarding, with sending |
| J02, J03, J06, J08 | tests/imap/test_gateway.py, tests/imap/test_scripted.py, tests/folders/test_folder_names.py |
| J11, J12 | tests/folders/test_two_way.py |
| G, H, I, K | tests/imap/test_scripted.py, tests/imap/test_answers.py and tests/engine, as far as built |
"""
