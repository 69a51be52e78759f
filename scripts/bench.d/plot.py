"""The growth of each cost as an SVG picture: rows to the right, milliseconds upwards, both by
powers of ten. Readable on light and on dark ground, with no library."""

import math

TITLES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
# Figure, label, colour on light and on dark ground.
SERIES = [
    ("no_pattern_matches_p50_ms", "LIKE, no match", "#b3261e", "#ff8a80"),
    ("search_p50_ms", "filtered, ordered", "#1a56db", "#8ab4f8"),
    ("deep_page_p50_ms", "deep page", "#7b3fb5", "#c58af9"),
    ("order_by_param_p50_ms", "ordered by a param", "#8a5a00", "#fdd663"),
    ("nothing_matches_p50_ms", "nothing matches", "#5f6368", "#bdc1c6"),
    ("newest_p50_ms", "newest 50 runs", "#0b7a5c", "#6fd8b5"),
]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 420, 330, 52, 34, 34, 40
GAP, LEGEND = 24, 52


def growth(grown):
    """`grown`: of each engine the figures at each size."""
    low, high = bounds(grown)
    width = len(grown) * WIDTH + (len(grown) - 1) * GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT + LEGEND}" role="img" '
        'aria-label="Time of a search by rows in the database">',
        style(),
    ]
    for number, (engine, sizes) in enumerate(grown.items()):
        parts.append(f'<g transform="translate({number * (WIDTH + GAP)} 0)">')
        parts += panel(TITLES.get(engine, engine), sizes, low, high)
        parts.append("</g>")
    parts += legend(width)
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def bounds(grown):
    """Powers of ten that hold every time."""
    times = [size[figure] for sizes in grown.values() for size in sizes for figure, *_ in SERIES if figure in size]
    return math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)))


def style():
    light = "".join(f".s{n}{{stroke:{colour};fill:{colour}}}" for n, (_, _, colour, _) in enumerate(SERIES))
    dark = "".join(f".s{n}{{stroke:{colour};fill:{colour}}}" for n, (_, _, _, colour) in enumerate(SERIES))
    return (
        "<style>text{font:12px system-ui,sans-serif;fill:#3c4043}.title{font-weight:600;font-size:14px}"
        "line{stroke:#dadce0}polyline{fill:none!important;stroke-width:2}"
        f"{light}@media(prefers-color-scheme:dark){{text{{fill:#e8eaed}}line{{stroke:#4b4f54}}{dark}}}</style>"
    )


def panel(title, sizes, low, high):
    first, last = math.log10(sizes[0]["rows"]), math.log10(sizes[-1]["rows"])

    def across(rows):
        share = (math.log10(rows) - first) / (last - first or 1)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def up(ms):
        return HEIGHT - BOTTOM - (math.log10(ms) - low) / (high - low or 1) * (HEIGHT - TOP - BOTTOM)

    yield f'<text class="title" x="{LEFT}" y="18">{title}: ms by runs</text>'
    for power in range(low, high + 1):
        y = up(10**power)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10**power:,g}</text>'
    for size in sizes:
        x = across(size["rows"])
        yield f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{size["rows"]:,}</text>'
    for number, (figure, *_) in enumerate(SERIES):
        points = [(across(size["rows"]), up(size[figure])) for size in sizes if figure in size]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield f'<polyline class="s{number}" points="{line}"/>'
        yield from (f'<circle class="s{number}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in points)


def legend(width):
    column = width / 3
    for number, (_, label, *_) in enumerate(SERIES):
        x, y = 10 + number % 3 * column, HEIGHT + 12 + number // 3 * 20
        yield f'<circle class="s{number}" cx="{x:.0f}" cy="{y - 4}" r="4"/>'
        yield f'<text x="{x + 10:.0f}" y="{y}">{label}</text>'
