"""Every mailbox of the company on one page: for admins to look after, for supervisors to look at.

It stands above mail, CRM and retention because a row says something of each: health, clients, storage. Nothing of the
mail in a mailbox is read here, neither subject nor sender: addresses, names, numbers, times. Names of folders appear
only where they are chosen. We own how somebody likes the list, and what was done to many mailboxes at once (to undo
it); every change is a verb of the app whose row it is. May be imported by nobody but what wires the product together.
"""
