"""Jobs that note what they did in a list that they think is their own."""


class Job:
    history = []

    def __init__(self, name):
        self.name = name

    def work(self, data):
        result = data[::-1]
        self.history.append(f"{self.name}: {result}" * 2)  # the leak
        return len(result)


def main():
    done = 0
    for number in range(2_000):
        done += Job(f"job {number}").work("payload " * 400)
    print(done)


main()
