"""The chain of events, its signatures, and bundles that anybody can check."""
