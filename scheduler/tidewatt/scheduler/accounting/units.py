"""How many of a small unit make a large one."""

HOUR_MS = 3_600_000
J_PER_KWH = 3_600_000
UJ_PER_KWH = 3_600_000_000_000
UG_PER_G = 1_000_000
UG_PER_KG = 1_000_000_000
