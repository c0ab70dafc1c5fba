"""Recursive calls: binary trees of tuples built and counted, and a doubly recursive Fibonacci."""

import body


def build(depth):
    """A complete binary tree of tuples."""
    if depth == 0:
        return (None, None)
    return (build(depth - 1), build(depth - 1))


def count(tree):
    """Nodes of a tree."""
    left, right = tree
    return 1 if left is None else 1 + count(left) + count(right)


def fibonacci(n):
    """Calls itself about 1.6 ** n times."""
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def recurse():
    """About 8,000 calls and 1,000 tuples."""
    return count(build(9)) + fibonacci(18)


if __name__ == "__main__":
    body.run(recurse, 400)
