"""What leaves Webmail, and proof of it: one rule of age, the nightly purge, what it would do, what it did.

We own runs and their lines. The rule is `policy` and nowhere else; the job, the preview, the clock on a page and the
tests ask it. Nothing here can reach a mail server: no import leads there. May be imported by nobody but what wires the
product together.
"""
