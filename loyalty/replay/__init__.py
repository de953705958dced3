"""A real shop's invoices lived through with points: the program is made of rules and tiers as data (`program`), every invoice
earns, pays with points or takes them back at its moment (`living`), and the books are compared with a plain count beside
them (`counting`, `comparing`)."""
