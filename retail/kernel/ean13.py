"""EAN-13, the thirteen digits that every till's scanner reads: the check digit, and the bars as a picture.

Check digit: GS1 General Specifications, 7.9 (weights 3 and 1 by turns, from the right). Bars: ISO/IEC 15420. Each digit
is seven modules wide, two bars and two spaces, in one of three sets: L, its complement R, and G, which is R backwards.
The first digit has no bars of its own: it says which of the next six are drawn in G.
"""

LENGTH = 13
GUARD, CENTER = "101", "01010"
QUIET_LEFT, QUIET_RIGHT = 11, 7  # modules that must stay white beside the bars
_L = ("0001101", "0011001", "0010011", "0111101", "0100011", "0110001", "0101111", "0111011", "0110111", "0001011")
_PARITY = ("LLLLLL", "LLGLGG", "LLGGLG", "LLGGGL", "LGLLGG", "LGGLLG", "LGGGLL", "LGLGLG", "LGLGGL", "LGGLGL")
_HEIGHT, _GUARD_HEIGHT, _TEXT_HEIGHT = 65, 70, 9  # modules; nominal proportions
_COMPLEMENT = str.maketrans("01", "10")


def check_digit(body: str) -> str:
    """The digit that makes twelve digits a number."""
    total = sum(int(digit) * (1 if place % 2 == 0 else 3) for place, digit in enumerate(body))
    return str(-total % 10)


def is_valid(number: str) -> bool:
    """Whether `number` is thirteen digits, the last of which is right."""
    return len(number) == LENGTH and number.isascii() and number.isdigit() and check_digit(number[:-1]) == number[-1]


def modules(number: str) -> str:
    """The 95 modules of a valid number, from the left: 1 is black."""
    left = "".join(_digit(digit, kind) for digit, kind in zip(number[1:7], _PARITY[int(number[0])], strict=True))
    right = "".join(_digit(digit, "R") for digit in number[7:])
    return GUARD + left + CENTER + right + GUARD


def svg(number: str, *, scale: int = 3) -> str:
    """A valid number as an SVG document: black on white with its quiet zones, guard bars longer, digits below.

    scale: pixels per module.
    """
    drawn = modules(number)
    width, height = QUIET_LEFT + len(drawn) + QUIET_RIGHT, _GUARD_HEIGHT + _TEXT_HEIGHT
    guards = {*range(3), *range(45, 50), *range(92, 95)}
    bars = "".join(
        f"M{QUIET_LEFT + place} 0h1v{_GUARD_HEIGHT if place in guards else _HEIGHT}h-1z"
        for place, module in enumerate(drawn)
        if module == "1"
    )
    below = ((0, number[0], 7), (QUIET_LEFT + 3, number[1:7], 42), (QUIET_LEFT + 50, number[7:], 42))
    texts = "".join(
        f'<text x="{x}" y="{height - 1}" textLength="{length}">{digits}</text>' for x, digits, length in below
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width * scale}" height="{height * scale}"'
        f' viewBox="0 0 {width} {height}" role="img" aria-label="{number}">'
        f'<path fill="#fff" d="M0 0h{width}v{height}H0z"/><path shape-rendering="crispEdges" d="{bars}"/>'
        f'<g font-family="monospace" font-size="10">{texts}</g></svg>'
    )


def _digit(digit: str, kind: str) -> str:
    left = _L[int(digit)]
    if kind == "L":
        return left
    right = left.translate(_COMPLEMENT)
    return right if kind == "R" else right[::-1]
