a = 1
class A:
    b: int = -2
    def __init__(self):
        self.c = {"x": [1, (2,), {3}]}
