"""What points, rules, tiers and members look like as JSON."""
