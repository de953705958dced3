"""From cart to handover and back."""
