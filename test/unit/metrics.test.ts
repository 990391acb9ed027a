// The statistics against SciPy (golden/make_metrics.py), the formats against the design's own examples.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { bestEpochIndex } from '../../src/metrics/bestEpoch.js';
import {
  formatAccuracy, formatBytes, formatClock, formatCount, formatDifference, formatInterval, formatLoss, formatP, formatParameters, formatScientific, formatShare, formatSpeed,
} from '../../src/metrics/format.js';
import { normalQuantile, wilsonInterval } from '../../src/metrics/intervals.js';
import { holm, mcnemarExact } from '../../src/metrics/significance.js';

interface Golden {
  wilson: { correct: number; total: number; confidence: number; interval: [number, number] }[];
  mcnemar: { onlyFirst: number; onlySecond: number; p: number }[];
  holm: { p: number[]; corrected: number[] }[];
  normalQuantile: { p: number; z: number }[];
}
const golden = JSON.parse(readFileSync(path.join(process.cwd(), 'test/unit/golden/metrics.json'), 'utf8')) as Golden;

function close(actual: number, expected: number, what: string, tolerance = 1e-9): void {
  assert.ok(Math.abs(actual - expected) <= tolerance * Math.abs(expected), `${what}: ${String(actual)}, SciPy has ${String(expected)}`);
}

describe('statistics', () => {
  test('Wilson intervals are SciPy\'s', () => {
    for (const { correct, total, confidence, interval } of golden.wilson) {
      const [low, high] = wilsonInterval(correct, total, confidence);
      const what = `${String(correct)} of ${String(total)} at ${String(confidence)}`;
      if (interval[0] === 0) assert.equal(low, 0, what);
      else close(low, interval[0], `low of ${what}`);
      close(high, interval[1], `high of ${what}`);
    }
  });
  test('a Wilson interval holds its proportion and stays within 0 and 1', () => {
    for (let total = 1; total <= 60; total++) {
      for (let correct = 0; correct <= total; correct++) {
        const [low, high] = wilsonInterval(correct, total);
        assert.ok(low >= 0 && low <= correct / total && high >= correct / total && high <= 1, `${String(correct)} of ${String(total)}: ${String([low, high])}`);
      }
    }
    assert.deepEqual(wilsonInterval(0, 0), [0, 1]);
    for (const [correct, total] of [[2, 1], [-1, 3], [0.5, 1], [NaN, 1]] as const) assert.throws(() => wilsonInterval(correct, total), RangeError);
  });
  test('the normal quantile is SciPy\'s, far into the tail', () => {
    for (const { p, z } of golden.normalQuantile) {
      if (z === 0) assert.equal(normalQuantile(p), 0);
      else close(normalQuantile(p), z, `quantile of ${String(p)}`, 1e-13);
    }
  });
  test('McNemar\'s exact p is SciPy\'s, for thousands of disagreements too', () => {
    for (const { onlyFirst, onlySecond, p } of golden.mcnemar) {
      close(mcnemarExact(onlyFirst, onlySecond), p, `${String(onlyFirst)} against ${String(onlySecond)}`);
      assert.equal(mcnemarExact(onlySecond, onlyFirst), mcnemarExact(onlyFirst, onlySecond));
    }
    assert.equal(mcnemarExact(0, 100_000), 0);
    assert.throws(() => mcnemarExact(-1, 2), RangeError);
  });
  test('Holm\'s correction', () => {
    for (const { p, corrected } of golden.holm) {
      const actual = holm(p);
      assert.equal(actual.length, corrected.length);
      for (const [index, value] of corrected.entries()) close(actual[index] ?? NaN, value, `Holm of ${String(p)}`);
    }
    assert.throws(() => holm([0.5, 1.5]), RangeError);
  });
  test('the best epoch: accuracy, then loss, then the earlier', () => {
    const epochs = (...values: [number, number][]): { validation: { accuracy: number; loss: number } }[] => values.map(([accuracy, loss]) => ({ validation: { accuracy, loss } }));
    assert.equal(bestEpochIndex([]), undefined);
    assert.equal(bestEpochIndex(epochs([0.5, 1], [0.9, 1], [0.8, 0.1])), 1);
    assert.equal(bestEpochIndex(epochs([0.9, 0.5], [0.9, 0.4], [0.9, 0.6])), 1);
    assert.equal(bestEpochIndex(epochs([0.9, 0.4], [0.9, 0.4])), 0);
  });
});

describe('numbers as the design writes them', () => {
  const cases = <T>(name: string, format: (value: T) => string, pairs: [T, string][]): void => {
    test(name, () => { for (const [value, expected] of pairs) assert.equal(format(value), expected, `${name} of ${String(value)}`); });
  };
  cases('accuracy', formatAccuracy, [[146 / 153, '.954'], [1, '1.000'], [0.9996, '1.000'], [0.9994, '.999'], [0, '.000'], [undefined, '–'], [NaN, '–']]);
  cases('interval', formatInterval, [[wilsonInterval(146, 153), '[.909–.978]'], [wilsonInterval(147, 153), '[.917–.982]'], [[0.9, 1], '[.900–1.000]'], [undefined, '–']]);
  cases('difference', formatDifference, [[0.007, '+.007'], [-0.02, '−.020'], [0, '.000'], [-0.0001, '.000'], [1, '+1.000'], [-1, '−1.000'], [undefined, '–']]);
  cases('p', formatP, [[0.41, 'p = .41'], [0.0009, 'p < .001'], [0, 'p < .001'], [0.001, 'p = .001'], [1, 'p = 1.00'], [0.996, 'p = 1.00'], [0.994, 'p = .99'], [0.047, 'p = .047'], [undefined, 'p –']]);
  cases('loss', formatLoss, [[0.2114, '0.211'], [2, '2.000'], [undefined, '–']]);
  cases('share', formatShare, [[0.614, '61%'], [undefined, '–']]);
  cases('clock', formatClock, [[27, '0:27'], [3730, '1:02:10'], [6.4, '0:06'], [59.6, '1:00'], [0, '0:00'], [3599.6, '1:00:00'], [-1, '–'], [undefined, '–']]);
  cases('speed', formatSpeed, [[138.2, '138 img/s'], [87.44, '87.4 img/s'], [99.97, '100 img/s'], [12345, '12,345 img/s'], [undefined, '–']]);
  cases('count', formatCount, [[15638, '15,638'], [999, '999'], [1000, '1,000'], [1234567, '1,234,567'], [0, '0'], [-1234, '−1,234'], [undefined, '–']]);
  cases('parameters', formatParameters, [[11_177_538, '11.2 M'], [1026, '1,026'], [undefined, '–']]);
  cases('very small numbers', formatScientific, [[1.49e-7, '1.5e−7'], [0, '0'], [0.25, '2.5e−1'], [undefined, '–'], [NaN, '–']]);
  cases('bytes', formatBytes, [[2.04e9, '1.9 GiB'], [512, '512 B'], [1023.9 * 2 ** 20, '1.0 GiB'], [120 * 2 ** 20, '120 MiB'], [1536, '1.5 KiB'], [3 * 2 ** 40, '3.0 TiB'], [undefined, '–']]);
});
