"""The numbers behind an availability answer: one statement for the plain question, one for all that explains it."""

from inventory.queries.buffers import BEST_RULES, HAS_BUFFERS, OF_CHANNEL, OF_EVERYBODY, better
from inventory.queries.levels import EXPIRED
from inventory.queries.supply import ARRIVING
from retail.kernel.hot import Hot

# Arrays stand in sub-selects so that the planner cannot see their length: seeing it, it would plan anew for every question
# (a plan for one SKU always looks cheaper than the general one), and planning takes longer than answering.
_CHANNEL_KNOWN = """
    (SELECT CAST(:channel AS text) IS NULL OR EXISTS (SELECT FROM channel WHERE code = :channel))
"""
_PART = "coalesce(part.component_id, variant.id)"

# The plain question of a channel that is known and has no buffers (`buffered` says if that is true): making ready what finds
# buffers takes a third of the statement's time, even where there are none. A row per SKU, component (the SKU itself where it
# is no bundle) and location that has ever had it.
EVERYWHERE = Hot(
    f"""
    SELECT wanted.sku, CAST(variant.id AS text), variant.title, variant.title_ja,
           CAST(part.component_id AS text), part.quantity,
           CAST(location.id AS text), location.code, location.name, location.name_ja,
           coalesce(level.on_hand, 0), coalesce(level.allocated, 0), coalesce(level.held - ({EXPIRED}), 0),
           coalesce(level.unavailable, 0), coalesce(level.safety, 0), 0, coalesce(level.backorder_limit, 0),
           policy.releases_at, true AS channel_known, {HAS_BUFFERS} AS buffered
    FROM unnest((SELECT CAST(:skus AS text[]))) WITH ORDINALITY AS wanted (sku, position)
    LEFT JOIN variant ON variant.sku = wanted.sku
    LEFT JOIN bundle_component AS part ON part.bundle_id = variant.id
    LEFT JOIN supply_policy AS policy ON policy.variant_id = {_PART}
    LEFT JOIN stock_level AS level ON level.variant_id = {_PART}
    LEFT JOIN location ON location.id = level.location_id
    ORDER BY wanted.position, location.code
    """  # noqa: S608 - constants
)

# What is asked for, and the best rules of its buffers.
_PARTS = f"""
    WITH part AS MATERIALIZED (
        SELECT wanted.position, wanted.sku, variant.id AS sold_id, variant.title, variant.title_ja,
               component.component_id IS NOT NULL AS bundle, coalesce(component.quantity, 1) AS quantity,
               coalesce(component.component_id, variant.id) AS variant_id
        FROM unnest((SELECT CAST(:skus AS text[]))) WITH ORDINALITY AS wanted (sku, position)
        LEFT JOIN variant ON variant.sku = wanted.sku
        LEFT JOIN bundle_component AS component ON component.bundle_id = variant.id
    ), stocked AS MATERIALIZED (
        SELECT DISTINCT part.variant_id, product.category
        FROM part JOIN variant ON variant.id = part.variant_id JOIN product ON product.id = variant.product_id
    ), buffer AS MATERIALIZED ({BEST_RULES.format(whose=OF_CHANNEL, variants="stocked")})
"""  # noqa: S608 - constants
_BUFFER_OF_PLACE = """
    LEFT JOIN buffer AS buffer_here ON buffer_here.variant_id = part.variant_id AND buffer_here.location_id = place.id
    LEFT JOIN buffer AS buffer_all ON buffer_all.variant_id = part.variant_id AND buffer_all.location_id IS NULL
    LEFT JOIN supply_policy AS policy ON policy.variant_id = part.variant_id
"""
_NUMBERS = f"""
    {_PARTS}
    SELECT part.sku, CAST(part.sold_id AS text), part.title, part.title_ja,
           CASE WHEN part.bundle THEN CAST(part.variant_id AS text) END, part.quantity,
           CAST(place.id AS text), place.code, place.name, place.name_ja,
           coalesce(level.on_hand, 0), coalesce(level.allocated, 0), coalesce(level.held - ({EXPIRED}), 0),
           coalesce(level.unavailable, 0), coalesce(level.safety, 0),
           coalesce({better("quantity", here="buffer_here", everywhere="buffer_all")}, 0), coalesce(level.backorder_limit, 0),
           policy.releases_at, {_CHANNEL_KNOWN} AS channel_known, {HAS_BUFFERS} AS buffered
    FROM part
    {{levels}}
    {_BUFFER_OF_PLACE}
    ORDER BY part.position, place.code
"""  # noqa: S608 - constants
EVERYWHERE_BUFFERED = Hot(
    _NUMBERS.format(
        levels="""
        LEFT JOIN stock_level AS level ON level.variant_id = part.variant_id
        LEFT JOIN location AS place ON place.id = level.location_id
        """
    )
)
# At some locations: these, with zeros where it has never been.
AT_LOCATIONS = Hot(
    _NUMBERS.format(
        levels="""
        LEFT JOIN location AS place ON place.id = ANY(CAST(:location_ids AS uuid[]))
        LEFT JOIN stock_level AS level ON level.variant_id = part.variant_id AND level.location_id = place.id
        """
    )
)

_RULE = """
    json_build_object('id', {rule}.id, 'quantity', {rule}.quantity, 'location', {rule}_place.code, 'category', {rule}.category,
                      'sku', {rule}_variant.sku, 'channel', {rule}.channel_code)
"""
_RULE_JOINS = """
    LEFT JOIN stock_rule AS {rule} ON {rule}.id = {rule_id}
    LEFT JOIN location AS {rule}_place ON {rule}_place.id = {rule}.location_id
    LEFT JOIN variant AS {rule}_variant ON {rule}_variant.id = {rule}.variant_id
"""
# The same numbers with what they come from, in one statement so that they are of one moment: a delivery that is being
# received is either still on its way or on the shelf. Everywhere also means where something is on its way to.
_DETAILS = f"""
    {_PARTS}, safety AS MATERIALIZED ({BEST_RULES.format(whose=":explain AND " + OF_EVERYBODY, variants="stocked")}
    ), arriving AS MATERIALIZED (
        SELECT variant_id, location_id, json_agg(json_build_array(due_at, quantity, kind, reference, supplier)) AS list
        FROM ({ARRIVING.format(which="line.variant_id IN (SELECT variant_id FROM stocked)")} ORDER BY 3 NULLS LAST, 6) AS arrival
        GROUP BY variant_id, location_id
    ), short AS MATERIALIZED (
        SELECT variant_id, location_id, CAST(sum(quantity) AS integer) AS quantity FROM reservation
        WHERE state = 'short' AND variant_id IN (SELECT variant_id FROM stocked) GROUP BY variant_id, location_id
    ), place AS MATERIALIZED (
        SELECT DISTINCT part.position, location.id, location.code, location.name, location.name_ja
        {{places}}
    )
    SELECT part.sku, CAST(part.sold_id AS text) AS sold_id, part.title, part.title_ja, part.bundle, part.quantity,
           CAST(part.variant_id AS text) AS variant_id, component.sku AS part_sku,
           CAST(place.id AS text) AS place, place.code, place.name, place.name_ja,
           coalesce(level.on_hand, 0) AS on_hand, coalesce(level.allocated, 0) AS allocated,
           coalesce(level.held - ({EXPIRED.replace(":now", "CAST(:moment AS timestamptz)")}), 0) AS held,
           coalesce(level.held - ({EXPIRED}), 0) AS held_now,
           coalesce(level.unavailable, 0) AS unavailable, coalesce(level.safety, 0) AS safety, level.safety_by_hand,
           coalesce({better("quantity", here="buffer_here", everywhere="buffer_all")}, 0) AS buffer,
           coalesce(level.backorder_limit, 0) AS backorder_limit, coalesce(level.backordered, 0) AS backordered,
           coalesce(short.quantity, 0) AS short, arriving.list AS arriving, policy.releases_at, policy.lead_days,
           CASE WHEN :explain AND safety_rule.id IS NOT NULL THEN {_RULE.format(rule="safety_rule")} END AS safety_rule,
           CASE WHEN :explain AND buffer_rule.id IS NOT NULL THEN {_RULE.format(rule="buffer_rule")} END AS buffer_rule,
           {_CHANNEL_KNOWN} AS channel_known
    FROM part
    LEFT JOIN variant AS component ON component.id = part.variant_id
    LEFT JOIN place ON place.position = part.position
    LEFT JOIN stock_level AS level ON level.variant_id = part.variant_id AND level.location_id = place.id
    LEFT JOIN arriving ON arriving.variant_id = part.variant_id AND arriving.location_id = place.id
    LEFT JOIN short ON short.variant_id = part.variant_id AND short.location_id = place.id
    LEFT JOIN safety AS safety_here ON safety_here.variant_id = part.variant_id AND safety_here.location_id = place.id
    LEFT JOIN safety AS safety_all ON safety_all.variant_id = part.variant_id AND safety_all.location_id IS NULL
    {_BUFFER_OF_PLACE}
    {_RULE_JOINS.format(rule="safety_rule", rule_id=better("id", here="safety_here", everywhere="safety_all"))}
    {_RULE_JOINS.format(rule="buffer_rule", rule_id=better("id", here="buffer_here", everywhere="buffer_all"))}
    ORDER BY part.position, place.code, part_sku
"""  # noqa: S608 - constants
DETAILS_EVERYWHERE = Hot(
    _DETAILS.format(
        places="""
        FROM part
        JOIN (SELECT variant_id, location_id FROM stock_level WHERE variant_id IN (SELECT variant_id FROM stocked)
              UNION
              SELECT variant_id, location_id FROM arriving) AS known ON known.variant_id = part.variant_id
        JOIN location ON location.id = known.location_id
        """
    )
)
DETAILS_AT_LOCATIONS = Hot(
    _DETAILS.format(
        places="FROM part JOIN location ON part.sold_id IS NOT NULL AND location.id = ANY(CAST(:location_ids AS uuid[]))"
    )
)
