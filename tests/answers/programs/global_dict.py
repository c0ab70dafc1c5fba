"""A price service that remembers every quote it ever gave."""

import json

QUOTES = {}


def fetch(number):
    return json.loads(json.dumps({"symbol": f"S{number}", "bids": list(range(number, number + 40))}))


def quote(number):
    answer = fetch(number)
    QUOTES[number] = json.dumps(answer) * 30  # the leak
    return answer["bids"][0]


print(sum(quote(number) for number in range(2_000)))
