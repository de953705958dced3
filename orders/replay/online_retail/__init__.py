"""A week of UCI "Online Retail" lived through again as a chain of three stores and a warehouse, over HTTP."""
