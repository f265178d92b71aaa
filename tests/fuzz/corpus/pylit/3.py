def f(a=(1, 2)):
    return [i for i in a]

@d
class B(A): v = None
