"""What jobs used, emitted and saved: receipts, reports, pictures."""
