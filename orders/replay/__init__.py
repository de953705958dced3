"""Real shops lived through again, by HTTP, with today's code; judged by what is known to have come out."""
