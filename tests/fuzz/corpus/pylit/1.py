x = "a" '''b
c''' r"\d"
if x:
	y = 1
else: z = 2
