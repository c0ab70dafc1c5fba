"""JSON round trips: a document of 400 small records, dumped and loaded again."""

import json

import body

DOCUMENT = {
    f"record-{i}": {"id": i, "name": f"name {i}", "tags": ["a", "b", f"tag{i}"], "score": i * 1.25, "ok": i % 2 == 0}
    for i in range(400)
}


def round_trip():
    """One dump and one load."""
    return json.loads(json.dumps(DOCUMENT))


if __name__ == "__main__":
    body.run(round_trip, 250)
