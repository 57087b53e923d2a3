"""Few combinations of parameters that hold every pair of values, in place of full products."""

from itertools import combinations


def pairwise(**axes):
    """Return the arguments of ``pytest.mark.parametrize`` for a covering of all pairs of values.

    Parameters
    ----------
    **axes : sequence
        Values of each parameter, by its name; two parameters or more.

    Returns
    -------
    names : list of str
        Names of the parameters.
    cases : list of tuple
        One value of each parameter a case. Any value of one parameter occurs with any value of any
        other in some case. The list is the same in every run (the greedy choice has no chance in
        it), and its length is about the product of the two longest axes.
    """
    names, values = list(axes), [list(axis) for axis in axes.values()]
    # A value is (axis, index): values themselves need be neither hashable nor different.
    points = [[(k, i) for i in range(len(axis))] for k, axis in enumerate(values)]
    missing = {
        pair: None  # a dict, as a set has no order
        for one, other in combinations(points, 2)
        for pair in ((p, q) for p in one for q in other)
    }
    used, cases = {p: 0 for axis in points for p in axis}, []
    while missing:
        case = dict(next(iter(missing)))  # axis -> index, of a pair that is missing

        def gain(point, case=case):
            pairs = (tuple(sorted((point, chosen))) for chosen in case.items())
            return sum(pair in missing for pair in pairs), -used[point]

        for k in sorted(range(len(points)), key=lambda k: -len(points[k])):  # the longest first
            if k not in case:
                case[k] = max(points[k], key=gain)[1]
        for pair in combinations(sorted(case.items()), 2):
            missing.pop(pair, None)
        for point in case.items():
            used[point] += 1
        cases.append(tuple(values[k][case[k]] for k in range(len(names))))
    return names, cases
