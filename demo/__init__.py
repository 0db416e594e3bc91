"""One command's whole system: servers started for a trial or a test, a company to try it with."""
