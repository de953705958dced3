"""What this package does when the time comes."""

from retail.kernel.worker import Job
from support import notifications


def send_messages() -> int:
    """Send the messages that are due; how many left."""
    return notifications.send_due()


JOBS: list[Job] = [Job("support.send_messages", send_messages, every_seconds=2)]
