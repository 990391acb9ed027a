"""Golden values of src/metrics, by SciPy. Usage: python test/unit/golden/make_metrics.py > test/unit/golden/metrics.json"""
import json

import numpy as np
from scipy import stats

rng = np.random.default_rng(0)


def wilson(correct, total, confidence):
    found = stats.binomtest(correct, total).proportion_ci(confidence_level=confidence, method='wilson')
    return {'correct': correct, 'total': total, 'confidence': confidence, 'interval': [float(found.low), float(found.high)]}


def mcnemar(first, second):
    p = stats.binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    return {'onlyFirst': first, 'onlySecond': second, 'p': float(p)}


def holm(p):
    """Holm as its paper states it: the largest of the corrected p-values up to each rank, written out with exact loops."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    corrected = [0.0] * len(p)
    for rank, i in enumerate(order):
        corrected[i] = float(min(1.0, max((len(p) - earlier) * p[order[earlier]] for earlier in range(rank + 1))))
    return corrected


cases = [(146, 153), (147, 153), (0, 10), (10, 10), (1, 1), (0, 1), (1, 2), (1, 100000), (99999, 100000), (500, 1000), (3, 7)]
cases += [(int(rng.integers(0, n + 1)), int(n)) for n in rng.integers(1, 20000, 20)]
pairs = [(5, 4), (0, 0), (0, 1), (1, 0), (10, 1), (9, 4), (6, 9), (0, 12), (25, 25), (2000, 2100), (3000, 2500), (5000, 5000), (0, 1000), (4000, 10), (10000, 9700)]
pairs += [(int(a), int(b)) for a, b in rng.integers(0, 400, (20, 2))]
ps = [[0.01, 0.04, 0.03, 0.005], [0.5, 0.5], [1.0, 1.0, 1.0], [0.047], [], [0.02, 0.02, 0.9, 0.0001]] + [[float(x) for x in rng.random(n) ** 3] for n in (2, 3, 6, 15)]
quantiles = [1e-300, 1e-20, 1e-6, 0.001, 0.025, 0.07, 0.075, 0.3, 0.5, 0.9, 0.975, 0.995, 0.9999999]
print(json.dumps({
    'wilson': [wilson(k, n, c) for k, n in cases for c in (0.95, 0.99)],
    'mcnemar': [mcnemar(a, b) for a, b in pairs],
    'holm': [{'p': p, 'corrected': holm(p)} for p in ps],
    'normalQuantile': [{'p': p, 'z': float(stats.norm.ppf(p))} for p in quantiles],
}, indent=1))
