"""Tiers: how they are computed (`program`), who is in which (`evaluating`), and what a member sees of it (`showing`).

The figure is what a member and those merged into her spent, or earned, within a rolling or calendar window, less what came
back. She rises at once. Below the threshold she keeps her tier for the days of grace, then falls: one tier at a time with a
soft landing. Time alone changes tiers too; `member_tier.due_at` says when, so that the job asks for those members alone.
"""

from loyalty.tiers import program
from loyalty.tiers.assigning import assign
from loyalty.tiers.evaluating import evaluate, review_due, walk
from loyalty.tiers.joining import after_merge, after_unmerge
from loyalty.tiers.showing import view

__all__ = ["after_merge", "after_unmerge", "assign", "evaluate", "program", "review_due", "view", "walk"]
