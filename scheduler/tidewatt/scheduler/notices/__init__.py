"""Notices: what people want to be told by mail, chat or webhook, and how it reaches them."""
