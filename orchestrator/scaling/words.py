"""Numbers in sentences for an admin. PURE."""


def seconds(value_s: float) -> str:
    """`0.043 s`, `0.4 s`, `2.5 s`, `12 s`, `4 min`, `1.5 h`."""
    if value_s < 0.95:
        return f"{value_s:.2g} s"
    if value_s < 9.95:
        return f"{value_s:.1f} s"
    if value_s < 119.5:
        return f"{value_s:.0f} s"
    if value_s < 5400:
        return f"{value_s / 60:.0f} min"
    return f"{value_s / 3600:.1f} h"


def count(number: int, noun: str) -> str:
    """`1 replica`, `3 replicas`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
