"""The demo's stores and warehouse, with lunch breaks, and Japan's national holidays."""

from datetime import date, time
from typing import Any

ZONE = "Asia/Tokyo"
# Where postal codes that begin so lie, roughly: of the larger cities, and of Hokkaido and Kyushu.
AREAS = {
    "0": [43.06, 141.35],
    "1": [35.69, 139.75],
    "150": [35.66, 139.70],
    "2": [35.45, 139.64],
    "46": [35.18, 136.91],
    "5": [34.69, 135.50],
    "60": [35.01, 135.77],
    "73": [34.39, 132.46],
    "8": [33.59, 130.40],
    "98": [38.27, 140.87],
}
LUNCH = ((time(10), time(13)), (time(14), time(19)))
ALL_DAY = ((time(10), time(20)),)
SHORT = ((time(11), time(18)),)

# Act on National Holidays (1948, no. 178) with the substitute and in-between holidays of these years; the equinoxes as
# announced in the Official Gazette.
HOLIDAYS = {
    date(2026, 1, 1): "元日",
    date(2026, 1, 12): "成人の日",
    date(2026, 2, 11): "建国記念の日",
    date(2026, 2, 23): "天皇誕生日",
    date(2026, 3, 20): "春分の日",
    date(2026, 4, 29): "昭和の日",
    date(2026, 5, 3): "憲法記念日",
    date(2026, 5, 4): "みどりの日",
    date(2026, 5, 5): "こどもの日",
    date(2026, 5, 6): "振替休日",
    date(2026, 7, 20): "海の日",
    date(2026, 8, 11): "山の日",
    date(2026, 9, 21): "敬老の日",
    date(2026, 9, 22): "国民の休日",
    date(2026, 9, 23): "秋分の日",
    date(2026, 10, 12): "スポーツの日",
    date(2026, 11, 3): "文化の日",
    date(2026, 11, 23): "勤労感謝の日",
    date(2027, 1, 1): "元日",
    date(2027, 1, 11): "成人の日",
    date(2027, 2, 11): "建国記念の日",
    date(2027, 2, 23): "天皇誕生日",
    date(2027, 3, 21): "春分の日",
    date(2027, 3, 22): "振替休日",
    date(2027, 4, 29): "昭和の日",
    date(2027, 5, 3): "憲法記念日",
    date(2027, 5, 4): "みどりの日",
    date(2027, 5, 5): "こどもの日",
    date(2027, 7, 19): "海の日",
    date(2027, 8, 11): "山の日",
    date(2027, 9, 20): "敬老の日",
    date(2027, 9, 23): "秋分の日",
    date(2027, 10, 11): "スポーツの日",
    date(2027, 11, 3): "文化の日",
    date(2027, 11, 23): "勤労感謝の日",
}
_NEW_YEAR = (1, 2)  # closed on these days of January; on other holidays the stores open for shorter hours


def _holidays() -> list[dict[str, Any]]:
    closed = {date(year, 1, day): "年始休業" for year in {day.year for day in HOLIDAYS} for day in _NEW_YEAR}
    days: list[dict[str, Any]] = [
        {"on_day": day, "opens": None, "closes": None, "name": HOLIDAYS.get(day, name)} for day, name in closed.items()
    ]
    days += [
        {"on_day": day, "opens": time(11), "closes": time(18), "name": name}
        for day, name in HOLIDAYS.items()
        if day not in closed
    ]
    return days


def _hours(*weekdays: tuple[tuple[time, time], ...]) -> list[dict[str, Any]]:
    return [
        {"weekday": weekday, "opens": opens, "closes": closes}
        for weekday, intervals in enumerate(weekdays)
        for opens, closes in intervals
    ]


def locations() -> list[dict[str, Any]]:
    """Three stores and the warehouse, in the fields of LocationSchema."""
    common = {"zone": ZONE, "tax_region": "JP", "holidays": _holidays(), "capture_at": "collected"}
    store = common | {"kind": "store", "pickup_enabled": True, "pickup_lead_minutes": 120, "pickup_keep_days": 7}
    return [
        store
        | {
            "code": "SHIBUYA",
            "name": "Shibuya",
            "name_ja": "渋谷店",
            "address": "東京都渋谷区神南1-2-3",
            "phone": "03-0000-1001",
            "latitude": 35.6620,
            "longitude": 139.6990,
            "hours": _hours(*[ALL_DAY] * 7),
        },
        store
        | {
            "code": "KYOTO",
            "name": "Kyoto Shijo",
            "name_ja": "京都四条店",
            "address": "京都府京都市下京区四条通4-5-6",
            "phone": "075-000-1002",
            "latitude": 35.0037,
            "longitude": 135.7600,
            "ship_enabled": True,
            "pick_capacity": 40,
            "sourcing_priority": 200,
            "hours": _hours(LUNCH, LUNCH, (), LUNCH, LUNCH, ALL_DAY, SHORT),
            "pickup_lead_minutes": 60,
        },
        store
        | {
            "code": "SAPPORO",
            "name": "Sapporo Odori",
            "name_ja": "札幌大通店",
            "address": "北海道札幌市中央区大通西7-8-9",
            "phone": "011-000-1003",
            "latitude": 43.0600,
            "longitude": 141.3500,
            "hours": _hours(*[LUNCH] * 5, ALL_DAY, ALL_DAY),
            "capture_at": "ready",
        },
        common
        | {
            "code": "KAWASAKI",
            "kind": "warehouse",
            "name": "Kawasaki warehouse",
            "name_ja": "川崎倉庫",
            "address": "神奈川県川崎市川崎区東扇島10",
            "phone": "044-000-1000",
            "latitude": 35.5080,
            "longitude": 139.7700,
            "ship_enabled": True,
            "hours": _hours(*[((time(8), time(17)),)] * 5, (), ()),
            "pickup_enabled": False,
        },
    ]
