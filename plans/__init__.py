"""What an account may do on a given day: dated limits and dated subscriptions, derived on each question."""
