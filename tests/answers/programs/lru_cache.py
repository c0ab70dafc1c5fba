"""Pages rendered through a cache without a bound, asked for by addresses that never repeat."""

import functools
import string

PAGE = string.Template("<html><h1>$title</h1>" + "<p>$text</p>" * 40)


@functools.lru_cache(maxsize=None)
def page(address):
    return PAGE.substitute(title=address, text=f"read at {address}")  # the leak


def serve(number):
    return len(page(f"/item/{number}?session={number * 7919}"))


print(sum(serve(number) for number in range(3_000)))
