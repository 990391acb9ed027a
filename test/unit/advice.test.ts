// The measurements before training against scikit-learn, SciPy and NumPy (golden/make_advice.py).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { gramMatrix, pooledFeatures, type FeatureMatrix } from '../../src/advice/features.js';
import { stratifiedFolds, stratifiedSample, stratifiedShare, type LabelledSet } from '../../src/advice/folds.js';
import { logme } from '../../src/advice/logme.js';
import { highestProbabilities, meanWithInterval, nearness } from '../../src/advice/nearness.js';
import { nearestMeanPredictions } from '../../src/advice/nearestMean.js';
import { ridgePenalty, ridgePredictions } from '../../src/advice/ridgeProbe.js';

interface Golden {
  cases: {
    images: number; channels: number; classes: number; values: number[]; labels: number[]; train: number[]; test: number[];
    ridge: { penalty: number; predictions: number[] }[]; distance: number; nearestMean: number[]; logme: { published: number; evidence: number };
  }[];
  confidence: { classes: number; logits: number[]; highest: number[]; mean: number; interval: [number, number] };
}
const golden = JSON.parse(readFileSync(path.join(process.cwd(), 'test/unit/golden/advice.json'), 'utf8')) as Golden;

function close(actual: number, expected: number, what: string, tolerance: number): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${String(actual)}, expected ${String(expected)}`);
}

const featuresOf = ({ values, images, channels }: Golden['cases'][number]): FeatureMatrix => ({ values: Float32Array.from(values), images, channels });

describe('measurements before training', () => {
  for (const found of golden.cases) {
    const { classes, train, test: held } = found;
    const features = featuresOf(found);
    const labels = Int32Array.from(found.labels);
    const what = `${String(found.images)} × ${String(found.channels)}, ${String(classes)} classes`;
    test(`the ridge probe is scikit-learn's RidgeClassifier, ${what}`, () => {
      const gram = gramMatrix(features);
      for (const { penalty, predictions } of found.ridge) assert.deepEqual([...ridgePredictions(gram, labels, classes, train, held, penalty)], predictions, `penalty ${String(penalty)}`);
      close(ridgePenalty(gram, found.images, train, 1), found.distance, 'mean squared distance', 1e-9 * found.distance);
    });
    test(`the nearest class mean is scikit-learn's NearestCentroid, ${what}`, () => {
      assert.deepEqual([...nearestMeanPredictions(features, { labels, classes }, train, held)], found.nearestMean);
    });
    test(`LogME is the published algorithm's, and the largest evidence, ${what}`, () => {
      const value = logme(features, labels, classes);
      close(value, found.logme.published, 'published', 1e-3);
      close(value, found.logme.evidence, 'evidence', 1e-4);
    });
  }

  test('features that say nothing are worth what the shares of the classes are', () => {
    const labels = Int32Array.from({ length: 30 }, (_, row) => (row < 20 ? 0 : 1));
    const features = { values: new Float32Array(30 * 8), images: 30, channels: 8 };
    // No weights: each target is noise around zero, whose best variance is the mean square, 20/30 and 10/30.
    const evidence = (share: number): number => -0.5 * (Math.log(2 * Math.PI * share) + 1);
    close(logme(features, labels, 2), (evidence(20 / 30) + evidence(10 / 30)) / 2, 'LogME', 1e-5);
    const rows = Array.from(labels, (_, row) => row);
    const gram = gramMatrix(features);
    assert.deepEqual([...new Set(ridgePredictions(gram, labels, 2, rows, rows, ridgePenalty(gram, 30, rows)))], [0], 'the larger class');
    // Features that are the same in every image, but for what rounding makes of them.
    for (const [images, value] of [[3, 0.1], [5, 123.456]] as const) {
      const same = { values: new Float32Array(images * 3).fill(value), images, channels: 3 };
      const products = gramMatrix(same);
      const all = Array.from({ length: images }, (_, row) => row);
      assert.equal(ridgePredictions(products, Int32Array.from(all, (row) => row % 2), 2, all, all, ridgePenalty(products, images, all)).length, images);
    }
  });

  test('LogME leaves out a class without an image', () => {
    const labels = Int32Array.from({ length: 12 }, (_, row) => row % 2);
    const features = { values: Float32Array.from({ length: 12 * 4 }, (_, at) => Math.sin(at * at)), images: 12, channels: 4 };
    assert.equal(logme(features, labels, 5), logme(features, labels, 2));
  });

  test('confidence is SciPy\'s softmax, its interval SciPy\'s', () => {
    const { classes, logits, highest, mean, interval } = golden.confidence;
    const found = highestProbabilities(Float32Array.from(logits), classes);
    for (const [row, value] of highest.entries()) close(found[row]!, value, `row ${String(row)}`, 1e-12);
    const summary = meanWithInterval(found);
    close(summary.mean, mean, 'mean', 1e-12);
    close(summary.interval[0], interval[0], 'low', 1e-12);
    close(summary.interval[1], interval[1], 'high', 1e-12);
  });

  test('nearness is 0 at noise, 1 at photographs, and straight between', () => {
    const reference = { photographs: 0.6, noise: 0.1 };
    assert.deepEqual(nearness({ mean: 0.1, interval: [0.1, 0.6] }, reference), { mean: 0, interval: [0, 1] });
    close(nearness({ mean: 0.35, interval: [0.3, 0.4] }, reference).mean, 0.5, 'half', 1e-12);
  });

  test('maps are averaged over their positions', () => {
    const { values } = pooledFeatures(Float32Array.from([1, 10, 3, 30, 5, 50, 7, 70]), 2, 2, 2);
    assert.deepEqual([...values], [2, 20, 6, 60]);
  });
});

describe('folds', () => {
  // 3 classes of 40, 11 and 1 images; every third image of the first class is a copy of the one before.
  const labels = Int32Array.from([...Array<number>(40).fill(0), ...Array<number>(11).fill(1), 2]);
  const groups = Array.from(labels, (_, index) => (index < 40 && index % 3 === 2 ? `content ${String(index - 1)}` : `content ${String(index)}`));
  const set: LabelledSet = { labels, groups, classes: 3 };

  test('copies are in one fold, and each class is spread evenly', () => {
    const folds = stratifiedFolds(set, 5);
    const foldOf = new Map<string, number>();
    for (const [index, group] of groups.entries()) {
      assert.equal(foldOf.get(group) ?? folds[index], folds[index], group);
      foldOf.set(group, folds[index]!);
    }
    for (const label of [0, 1]) {
      const contents = new Set(groups.filter((_, index) => labels[index] === label));
      const sizes = [0, 1, 2, 3, 4].map((fold) => [...contents].filter((group) => foldOf.get(group) === fold).length);
      assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1, String(sizes));
    }
  });

  test('a share holds its part of each class, copies together, one content at the least, and the smaller share', () => {
    const rows = Array.from(labels, (_, index) => index);
    const [quarter, half] = [stratifiedShare(set, rows, 0.25), stratifiedShare(set, rows, 0.5)];
    const contents = (chosen: readonly number[], label: number): number => new Set(chosen.filter((row) => labels[row] === label).map((row) => groups[row])).size;
    const total = contents(rows, 0);
    assert.equal(contents(quarter, 0), Math.round(total / 4));
    assert.equal(contents(half, 0), Math.round(total / 2));
    assert.deepEqual([contents(quarter, 1), contents(half, 1), contents(quarter, 2), contents(half, 2)], [3, 6, 1, 1]);
    assert.ok(quarter.every((row) => half.includes(row)));
    for (const row of rows) assert.equal(half.includes(row), half.some((other) => groups[other] === groups[row]));
    assert.deepEqual(stratifiedShare(set, rows, 1), rows);
  });

  test('a sample holds each class in proportion, and is the same each time', () => {
    const sample = stratifiedSample(set, 26);
    assert.equal(sample.length, 26);
    const ofClass = [0, 1, 2].map((label) => sample.filter((row) => labels[row] === label).length);
    assert.ok(Math.abs(ofClass[0]! - 20) <= 1 && Math.abs(ofClass[1]! - 5.5) <= 1, String(ofClass));
    assert.deepEqual(stratifiedSample(set, 26), sample);
    assert.equal(stratifiedSample(set, 100).length, labels.length);
  });
});
