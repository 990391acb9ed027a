"""Golden values of src/advice, by scikit-learn, SciPy and NumPy. Usage: python test/unit/golden/make_advice.py > test/unit/golden/advice.json

LogME twice: by the iteration that its authors published with the ICML paper, written here from the paper's formulas, and by what it means, the
largest evidence of a Gaussian, found by SciPy's optimiser on SciPy's density.
"""
import json

import numpy as np
from scipy import optimize, special, stats
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import NearestCentroid

rng = np.random.default_rng(6)


def features(images, channels, classes, spread):
    labels = np.arange(images) % classes
    centres = rng.normal(size=(classes, channels))
    values = np.round(centres[labels] + spread * rng.normal(size=(images, channels)) + 0.5, 2)
    return values.astype(np.float32).astype(np.float64), labels


def published_logme(f, y):
    """The ICML paper's algorithm 1: its start, its guards, its end."""
    n, d = f.shape
    v, s, vh = np.linalg.svd(f.T @ f, full_matrices=True)
    scores = []
    for k in range(int(y.max()) + 1):
        target = (y == k).astype(np.float64)
        alpha = beta = ratio = 1.0
        for _ in range(11):
            gamma = np.sum(s / (s + ratio))
            m = v @ (vh @ (f.T @ target) * beta / (alpha + beta * s))
            alpha = gamma / (m @ m + 1e-5)
            residual = np.sum((target - f @ m) ** 2)
            beta = (n - gamma) / (residual + 1e-5)
            last, ratio = ratio, alpha / beta
            if abs(ratio - last) / last < 0.01:
                break
        scores.append((d * np.log(alpha) + n * np.log(beta) - np.sum(np.log(alpha + beta * s))
                       - beta * (residual + 1e-5) - alpha * (m @ m + 1e-5) - n * np.log(2 * np.pi)) / 2 / n)
    return float(np.mean(scores))


def largest_evidence(f, y):
    n = len(y)
    scores = []
    for k in range(int(y.max()) + 1):
        target = (y == k).astype(np.float64)

        def loss(precisions):
            alpha, beta = np.exp(precisions)
            return -stats.multivariate_normal(np.zeros(n), np.eye(n) / beta + f @ f.T / alpha).logpdf(target) / n
        found = min((optimize.minimize(loss, start, method='Nelder-Mead', options={'xatol': 1e-9, 'fatol': 1e-13, 'maxiter': 4000}) for start in ([0, 0], [3, 2])), key=lambda each: each.fun)
        scores.append(-found.fun)
    return float(np.mean(scores))


cases = []
for images, channels, classes, spread in [(60, 8, 2, 1.5), (60, 12, 3, 2.0), (24, 40, 3, 2.5), (36, 36, 4, 3.0)]:
    f, y = features(images, channels, classes, spread)
    order = rng.permutation(images)
    train, test = np.sort(order[: images * 2 // 3]), np.sort(order[images * 2 // 3:])
    ridge = [{'penalty': float(a), 'predictions': RidgeClassifier(alpha=a, solver='svd').fit(f[train], y[train]).predict(f[test]).tolist()} for a in (0.01, 1, 30, 1000)]
    centred = f[train] - f[train].mean(0)
    cases.append({
        'images': images, 'channels': channels, 'classes': classes, 'values': f.ravel().tolist(), 'labels': y.tolist(),
        'train': train.tolist(), 'test': test.tolist(), 'ridge': ridge, 'distance': float(np.mean(np.sum(centred ** 2, 1))),
        'nearestMean': NearestCentroid().fit(f[train], y[train]).predict(f[test]).tolist(),
        'logme': {'published': published_logme(f, y), 'evidence': largest_evidence(f, y)},
    })

logits = np.round(rng.normal(scale=4, size=(12, 7)), 2).astype(np.float32).astype(np.float64)
highest = special.softmax(logits, axis=1).max(1)
low, high = stats.norm.interval(0.95, loc=highest.mean(), scale=stats.sem(highest))
print(json.dumps({
    'cases': cases,
    'confidence': {'classes': 7, 'logits': logits.ravel().tolist(), 'highest': highest.tolist(), 'mean': float(highest.mean()), 'interval': [float(low), float(high)]},
}))
