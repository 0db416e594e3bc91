"""CRM: the people a company does business with, and what was written to and fro.

We own contacts, companies, leads, deals and pipelines, and the activities that keep a mail's text, headers and files
for as long as the record lives. The laws:

1. CRM points down at mail; mail knows nothing of CRM. What arrives is told by one signal, in the same transaction.
2. `matching` decides, purely, and always says why; a person's decision is final for the thread.
3. An activity outlives its message, and never opens the mailbox that the message lies in.
4. Nothing here reaches a mail server, and nothing here changes mail.
"""
