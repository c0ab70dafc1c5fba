from inventory import audit


class Stock:
    def __init__(self):
        self.parts = {}
        self.total = 0

    def move(self, part, count):
        before = dict(sorted(self.parts.items())[-20:])
        self.parts[part] = self.parts.get(part, 0) + count
        if len(self.parts) > 100:
            self.parts.pop(next(iter(self.parts)))
        self.total += count
        audit.note(part, before, dict(sorted(self.parts.items())[-20:]))
