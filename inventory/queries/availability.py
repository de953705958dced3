"""The numbers behind an availability answer: one statement for the plain question, one for all that explains it."""

from inventory.queries.buffers import most_specific
from inventory.queries.levels import EXPIRED
from inventory.queries.supply import ARRIVING
from retail.kernel.hot import Hot

# Arrays stand in sub-selects so that the planner cannot see their length: seeing it, it would plan anew for every question
# (a plan for one SKU always looks cheaper than the general one), and planning takes longer than answering.
_CHANNEL_KNOWN = """
    (SELECT CAST(:channel AS text) IS NULL OR EXISTS (SELECT FROM channel WHERE code = :channel))
"""
_BUFFERED = """
    (SELECT EXISTS (SELECT FROM stock_rule WHERE channel_code = CAST(:channel AS text) AND retired_at IS NULL))
"""
_PART = "coalesce(part.component_id, variant.id)"

# A row per SKU, component (the SKU itself where it is no bundle) and location.
_NUMBERS = f"""
    SELECT wanted.sku, CAST(variant.id AS text), variant.title, variant.title_ja,
           CAST(part.component_id AS text), part.quantity,
           CAST(location.id AS text), location.code, location.name, location.name_ja,
           coalesce(level.on_hand, 0), coalesce(level.allocated, 0), coalesce(level.held - ({EXPIRED}), 0),
           coalesce(level.unavailable, 0), coalesce(level.safety, 0), {{buffer}}, coalesce(level.backorder_limit, 0),
           policy.releases_at, {{known}} AS channel_known, {_BUFFERED} AS buffered
    FROM unnest((SELECT CAST(:skus AS text[]))) WITH ORDINALITY AS wanted (sku, position)
    LEFT JOIN variant ON variant.sku = wanted.sku
    LEFT JOIN bundle_component AS part ON part.bundle_id = variant.id
    LEFT JOIN supply_policy AS policy ON policy.variant_id = {_PART}
"""  # noqa: S608 - constants
_WITH_BUFFERS = _NUMBERS.format(
    buffer=f"coalesce({most_specific('quantity', channel=True, variant=_PART, location='location.id')}, 0)",
    known=_CHANNEL_KNOWN,
)
# Everywhere: the locations that have ever had it. At some locations: these, with zeros where it has never been.
_EVERYWHERE = f"""
    LEFT JOIN stock_level AS level ON level.variant_id = {_PART}
    LEFT JOIN location ON location.id = level.location_id
    ORDER BY wanted.position, location.code
"""
# The shortest form, for a channel that is known and has no buffers (`buffered` says if that is true): making the probes of
# the rules ready takes a quarter of the statement's time, even where none is run.
EVERYWHERE = Hot(_NUMBERS.format(buffer="0", known="true") + _EVERYWHERE)
EVERYWHERE_BUFFERED = Hot(_WITH_BUFFERS + _EVERYWHERE)
AT_LOCATIONS = Hot(
    _WITH_BUFFERS
    + f"""
    LEFT JOIN location ON location.id = ANY(CAST(:location_ids AS uuid[]))
    LEFT JOIN stock_level AS level ON level.variant_id = {_PART} AND level.location_id = location.id
    ORDER BY wanted.position, location.code
    """
)

# Its names must not be those around it: {rule_id} speaks of the level.
_RULE = """
    (SELECT json_build_object('id', told.id, 'quantity', told.quantity, 'location', told_place.code, 'category', told.category,
                              'sku', told_variant.sku, 'channel', told.channel_code)
     FROM stock_rule AS told
     LEFT JOIN location AS told_place ON told_place.id = told.location_id
     LEFT JOIN variant AS told_variant ON told_variant.id = told.variant_id
     WHERE told.id = {rule_id})
"""
# The same numbers with what they come from, in one statement so that they are of one moment: a delivery that is being
# received is either still on its way or on the shelf. Everywhere also means where something is on its way to.
_DETAILS = f"""
    WITH part AS MATERIALIZED (
        SELECT wanted.position, wanted.sku, variant.id AS sold_id, variant.title, variant.title_ja,
               component.component_id IS NOT NULL AS bundle, coalesce(component.quantity, 1) AS quantity,
               coalesce(component.component_id, variant.id) AS variant_id
        FROM unnest((SELECT CAST(:skus AS text[]))) WITH ORDINALITY AS wanted (sku, position)
        LEFT JOIN variant ON variant.sku = wanted.sku
        LEFT JOIN bundle_component AS component ON component.bundle_id = variant.id
    ), arriving AS MATERIALIZED (
        SELECT variant_id, location_id, json_agg(json_build_array(due_at, quantity, kind, reference, supplier)) AS list
        FROM ({ARRIVING.format(which="line.variant_id IN (SELECT variant_id FROM part)")} ORDER BY 3 NULLS LAST, 6) AS arrival
        GROUP BY variant_id, location_id
    ), short AS MATERIALIZED (
        SELECT variant_id, location_id, CAST(sum(quantity) AS integer) AS quantity FROM reservation
        WHERE state = 'short' AND variant_id IN (SELECT variant_id FROM part) GROUP BY variant_id, location_id
    ), place AS MATERIALIZED (
        SELECT DISTINCT part.position, location.id, location.code, location.name, location.name_ja
        {{places}}
    )
    SELECT part.sku, CAST(part.sold_id AS text) AS sold_id, part.title, part.title_ja, part.bundle, part.quantity,
           CAST(part.variant_id AS text) AS variant_id, (SELECT variant.sku FROM variant WHERE variant.id = part.variant_id) AS part_sku,
           CAST(place.id AS text) AS place, place.code, place.name, place.name_ja,
           coalesce(level.on_hand, 0) AS on_hand, coalesce(level.allocated, 0) AS allocated,
           coalesce(level.held - ({EXPIRED.replace(":now", "CAST(:moment AS timestamptz)")}), 0) AS held,
           coalesce(level.held - ({EXPIRED}), 0) AS held_now,
           coalesce(level.unavailable, 0) AS unavailable, coalesce(level.safety, 0) AS safety, level.safety_by_hand,
           coalesce({most_specific("quantity", channel=True, variant="part.variant_id", location="place.id")}, 0) AS buffer,
           coalesce(level.backorder_limit, 0) AS backorder_limit, coalesce(level.backordered, 0) AS backordered,
           coalesce(short.quantity, 0) AS short, arriving.list AS arriving, policy.releases_at, policy.lead_days,
           CASE WHEN :explain THEN {_RULE.format(rule_id=most_specific("id", channel=False, variant="part.variant_id", location="place.id"))} END AS safety_rule,
           CASE WHEN :explain THEN {_RULE.format(rule_id=most_specific("id", channel=True, variant="part.variant_id", location="place.id"))} END AS buffer_rule,
           {_CHANNEL_KNOWN} AS channel_known
    FROM part
    LEFT JOIN place ON place.position = part.position
    LEFT JOIN stock_level AS level ON level.variant_id = part.variant_id AND level.location_id = place.id
    LEFT JOIN arriving ON arriving.variant_id = part.variant_id AND arriving.location_id = place.id
    LEFT JOIN short ON short.variant_id = part.variant_id AND short.location_id = place.id
    LEFT JOIN supply_policy AS policy ON policy.variant_id = part.variant_id
    ORDER BY part.position, place.code, part_sku
"""  # noqa: S608 - constants
DETAILS_EVERYWHERE = Hot(
    _DETAILS.format(
        places="""
        FROM part
        JOIN (SELECT variant_id, location_id FROM stock_level WHERE variant_id IN (SELECT variant_id FROM part)
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
