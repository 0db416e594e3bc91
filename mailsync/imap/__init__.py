"""Their side: everything that speaks IMAP. No Django, no models; values in, values out."""
