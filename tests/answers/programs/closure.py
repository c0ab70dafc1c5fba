"""A retry decorator whose wrapper keeps the arguments of every call."""

import functools


def traced(function):
    calls = []

    @functools.wraps(function)
    def wrapper(*arguments):
        calls.append([str(argument) * 20 for argument in arguments])  # the leak
        return function(*arguments)

    return wrapper


@traced
def score(text, weight):
    return len(text) * weight


print(sum(score(f"document {number} " * 20, number % 7) for number in range(1_500)))
