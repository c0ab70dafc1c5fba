# %%
import random
rows = []
# %%
def sample(number):
    values = [random.random() for _ in range(200)]
    rows.append(values * 5)  # the leak
    return values[0]
# %%
total = sum(sample(number) for number in range(2_000))
