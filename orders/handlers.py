"""What this package does when something happened elsewhere."""

from retail.kernel.outbox import Event, Handler

HANDLERS: dict[type[Event], list[Handler]] = {}
