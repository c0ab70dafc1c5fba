ENTRIES = []


def note(text, before, after):
    entry = {"text": text, "before": dict(before), "after": dict(after)}  # the leak
    ENTRIES.append(entry)
