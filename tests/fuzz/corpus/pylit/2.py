n = 0x1f; m = 1_000.5e-3
t = 1, 2,
s = set()
