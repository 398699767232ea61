"""Reports and receipts in the formats of others, and for people."""
