"""Figures of lists."""


def percentile(values, percent):
    """Of a sorted list: the smallest value that so many percent do not exceed."""
    place = max(0, -(-len(values) * percent // 100) - 1)
    return values[int(place)]
