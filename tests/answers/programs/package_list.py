"""A program whose package keeps an audit list that nobody reads."""

import inventory.stock

stock = inventory.stock.Stock()
for number in range(3_000):
    stock.move(f"part {number}", number % 11)
print(stock.total)
