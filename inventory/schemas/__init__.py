"""What stock looks like as JSON, a module per noun."""
