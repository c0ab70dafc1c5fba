"""One line makes lists and frees them; another gets these from the interpreter's free list, and keeps them."""

kept = []


def maker(count):
    made = [[] for _ in range(count)]
    made.clear()


def holder(count):
    for _ in range(count):
        kept.append([])


for _ in range(300):
    maker(60)
    holder(60)
