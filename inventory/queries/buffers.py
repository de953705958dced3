"""Which rule says how much is kept back at a level: the most specific one, found by exact look-ups.

For one level (`most_specific`) each of the six scopes that can fit is one probe of the unique index of live rules, so that
ten thousand rules cost no more than ten. All of it is skipped where no rule of the kind exists. For many levels at once
(`BEST_RULES`) the rules that can fit are read once per variant, and joined.
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
OF_CHANNEL = "rule.channel_code = (SELECT CAST(:channel AS text))"
OF_EVERYBODY = "rule.channel_code IS NULL"


def most_specific(column: str, *, channel: bool, variant: str, location: str) -> str:
    """SQL: this column of the most specific live rule at a level, NULL without one.

    `channel`: rules (buffers) of the channel ``:channel``, else those of safety stock. `variant` and `location` are the
    SQL names of the level's keys.
    """
    whose = OF_CHANNEL if channel else OF_EVERYBODY
    # The category and the channel are worked out once for all probes: each place of a plan costs time, also where nobody looks.
    kind = (
        "SELECT (SELECT category FROM product JOIN variant AS sold ON product_id = product.id"  # noqa: S608
        f" WHERE sold.id = {variant}) AS category, {'CAST(:channel AS text)' if channel else 'NULL'} AS channel OFFSET 0"
    )
    theirs = "rule.channel_code = kind.channel" if channel else OF_EVERYBODY
    probes = ",\n".join(
        f"(SELECT rule.{column} FROM stock_rule AS rule WHERE {theirs} AND rule.retired_at IS NULL AND {scope})"  # noqa: S608
        for scope in (each.format(variant=variant, location=location, category="kind.category") for each in _SCOPES)
    )
    some = f"(SELECT EXISTS (SELECT FROM stock_rule AS rule WHERE {whose} AND rule.retired_at IS NULL))"  # noqa: S608
    return f"CASE WHEN {some} THEN (SELECT coalesce({probes}) FROM ({kind}) AS kind) END"  # noqa: S608


# Whether anything is kept from the channel :channel anywhere.
HAS_BUFFERS = f"(SELECT EXISTS (SELECT FROM stock_rule AS rule WHERE {OF_CHANNEL} AND rule.retired_at IS NULL))"  # noqa: S608
# Units kept from the channel :channel at `level`, 0 for none (or when :channel is NULL).
BUFFER = (
    f"coalesce({most_specific('quantity', channel=True, variant='level.variant_id', location='level.location_id')}, 0)"
)

# A query of the best live rule per variant and location (NULL: of the rules for all locations): variant_id, location_id, id,
# quantity, specificity. {whose} is a condition on `rule`; {variants} a relation of variant_id and category, each once.
BEST_RULES = """
    SELECT DISTINCT ON (variant_id, location_id) variant_id, location_id, id, quantity, specificity
    FROM (SELECT sold.variant_id, rule.location_id, rule.id, rule.quantity, rule.specificity
          FROM {variants} AS sold JOIN stock_rule AS rule ON rule.variant_id = sold.variant_id
          WHERE {whose} AND rule.category IS NULL AND rule.retired_at IS NULL
          UNION ALL
          SELECT sold.variant_id, rule.location_id, rule.id, rule.quantity, rule.specificity
          FROM {variants} AS sold JOIN stock_rule AS rule ON rule.category = sold.category
          WHERE {whose} AND rule.variant_id IS NULL AND rule.retired_at IS NULL
          UNION ALL
          SELECT sold.variant_id, rule.location_id, rule.id, rule.quantity, rule.specificity
          FROM {variants} AS sold CROSS JOIN stock_rule AS rule
          WHERE {whose} AND rule.variant_id IS NULL AND rule.category IS NULL AND rule.retired_at IS NULL) AS fitting
    ORDER BY variant_id, location_id, specificity DESC
"""


def better(column: str, *, here: str, everywhere: str) -> str:
    """SQL: this column of the more specific of two rows of BEST_RULES: for the location, and for all locations."""
    return (
        f"CASE WHEN {here}.specificity > coalesce({everywhere}.specificity, -1) THEN {here}.{column}"
        f" ELSE {everywhere}.{column} END"
    )
