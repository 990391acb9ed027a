"""Golden values of the paired tests and the bootstrap of src/metrics, by SciPy and NumPy.
Usage: python test/unit/golden/make_resampling.py > test/unit/golden/resampling.json"""
import json

import numpy as np
from scipy import stats

rng = np.random.default_rng(7)


def student(t, degrees):
    return {'t': float(t), 'degrees': int(degrees), 'p': float(2 * stats.t.sf(abs(t), degrees))}


def paired(differences):
    found = stats.ttest_1samp(differences, 0)
    return {'differences': [float(x) for x in differences], 't': float(found.statistic), 'p': float(found.pvalue)}


def flips(differences):
    """Every flip of every sign, by SciPy."""
    d = np.asarray(differences)
    found = stats.permutation_test((d,), np.sum, permutation_type='samples', n_resamples=np.inf, alternative='two-sided')
    return {'differences': [int(x) for x in d], 'p': float(found.pvalue)}


def from_table(answers, seeds, images):
    """The means that a table of indices gives, and their quantiles; seeds [draws, S], images [draws, N]."""
    means = [answers[np.ix_(s, i)].mean() for s, i in zip(seeds, images)]
    return [float(x) for x in np.quantile(means, [0.025, 0.975])]


def table_case(count_seeds, count_images, draws):
    answers = (rng.random((count_seeds, count_images)) < 0.8).astype(int)
    seeds = rng.integers(0, count_seeds, (draws, count_seeds))
    images = rng.integers(0, count_images, (draws, count_images))
    return {'answers': answers.tolist(), 'seeds': seeds.tolist(), 'images': images.tolist(), 'interval': from_table(answers, seeds, images)}


def spread_case(accuracies, count_images, repeats=300, draws=10000):
    """What many bootstraps of 10,000 draws come to: the mean and the standard deviation of each end."""
    easy = rng.normal(size=count_images)
    answers = np.stack([(easy + rng.normal(size=count_images) < stats.norm.ppf(a) * np.sqrt(2)).astype(np.uint8) for a in accuracies])
    count_seeds = len(accuracies)
    ends = []
    for _ in range(repeats):
        # How often each seed and each image is drawn is multinomial.
        seeds = rng.multinomial(count_seeds, np.full(count_seeds, 1 / count_seeds), size=draws)
        images = rng.multinomial(count_images, np.full(count_images, 1 / count_images), size=draws)
        means = np.einsum('ds,sn,dn->d', seeds, answers.astype(float), images, optimize=True) / (count_seeds * count_images)
        ends.append(np.quantile(means, [0.025, 0.975]))
    ends = np.array(ends)
    return {'answers': [''.join(map(str, row)) for row in answers], 'mean': ends.mean(axis=0).tolist(), 'deviation': ends.std(axis=0, ddof=1).tolist()}


def scipy_case(count_images, correct, repeats=100):
    answers = np.array([1] * correct + [0] * (count_images - correct), dtype=float)
    ends = []
    for _ in range(repeats):
        found = stats.bootstrap((answers,), np.mean, n_resamples=10000, method='percentile', rng=rng).confidence_interval
        ends.append([found.low, found.high])
    ends = np.array(ends)
    return {'answers': [''.join(str(int(x)) for x in answers)], 'mean': ends.mean(axis=0).tolist(), 'deviation': ends.std(axis=0, ddof=1).tolist()}


print(json.dumps({
    'student': [student(t, n) for n in (1, 2, 3, 4, 5, 9, 10, 29, 100, 1001) for t in (0.001, 0.1, 0.7, 1, 2.5, 4.303, 12.7, 60, 1e4)],
    'paired': [paired(d) for d in ([0.01, 0.02], [0.283, 0.279, 0.291], [-0.007, 0.006, 0.0, 0.013, -0.02], rng.normal(0.01, 0.02, 10), rng.normal(0, 1, 30))],
    'flips': [flips(d) for d in ([1, 1, 1, 1, 1, -1], [3, -1, 2, 1, 0, -2, 1], [0, 0, 0], [5, 5, 4, 3, -1, 2, 2, 1, 1, 3], [1, -1], rng.integers(-3, 4, 14), rng.integers(-2, 6, 16))],
    'tables': [table_case(3, 11, 40), table_case(1, 8, 30), table_case(5, 6, 33)],
    'spread': [spread_case([.95, .96, .94], 153), spread_case([.6, .7, .65, .62, .68], 188)],
    'scipy': [scipy_case(153, 146), scipy_case(40, 22)],
}))
