"""Which rule says how much is kept back at a level: the most specific one, found by exact look-ups.

Each of the six scopes that can fit a level is one probe of the unique index of live rules, so that ten thousand rules cost
a level no more than ten. All of it is skipped where no rule of the kind exists.
"""

# Most specific first: the order of stock_rule.specificity.
_SCOPES = (
    "rule.variant_id = {variant} AND rule.category IS NULL AND rule.location_id = {location}",
    "rule.variant_id = {variant} AND rule.category IS NULL AND rule.location_id IS NULL",
    "rule.variant_id IS NULL AND rule.category = {category} AND rule.location_id = {location}",
    "rule.variant_id IS NULL AND rule.category = {category} AND rule.location_id IS NULL",
    "rule.variant_id IS NULL AND rule.category IS NULL AND rule.location_id = {location}",
    "rule.variant_id IS NULL AND rule.category IS NULL AND rule.location_id IS NULL",
)
# In sub-selects, so that the planner cannot see the value: seeing it, it would plan anew for every question.
_OF_CHANNEL = "rule.channel_code = (SELECT CAST(:channel AS text))"
_OF_EVERYBODY = "rule.channel_code IS NULL"


def most_specific(column: str, *, channel: bool, variant: str, location: str) -> str:
    """SQL: this column of the most specific live rule at a level, NULL without one.

    `channel`: rules (buffers) of the channel ``:channel``, else those of safety stock. `variant` and `location` are the
    SQL names of the level's keys.
    """
    whose = _OF_CHANNEL if channel else _OF_EVERYBODY
    category = (
        f"(SELECT category FROM product JOIN variant AS sold ON product_id = product.id WHERE sold.id = {variant})"  # noqa: S608
    )
    live = f"FROM stock_rule AS rule WHERE {whose} AND rule.retired_at IS NULL"
    scopes = (scope.format(variant=variant, location=location, category=category) for scope in _SCOPES)
    probes = ",\n".join(f"(SELECT rule.{column} {live} AND {scope})" for scope in scopes)
    return f"CASE WHEN (SELECT EXISTS (SELECT {live})) THEN coalesce({probes}) END"


# Whether anything is kept from the channel :channel anywhere.
HAS_BUFFERS = f"(SELECT EXISTS (SELECT FROM stock_rule AS rule WHERE {_OF_CHANNEL} AND rule.retired_at IS NULL))"  # noqa: S608
# Units kept from the channel :channel at `level`, 0 for none (or when :channel is NULL).
BUFFER = (
    f"coalesce({most_specific('quantity', channel=True, variant='level.variant_id', location='level.location_id')}, 0)"
)
