// The paired tests and the bootstrap against SciPy and NumPy (golden/make_resampling.py).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { quantile, twoWayBootstrap, type RandomIntegers } from '../../src/metrics/bootstrap.js';
import { mcnemarExact, pairedT, signFlipExact } from '../../src/metrics/significance.js';
import { studentTwoSided } from '../../src/metrics/studentT.js';
import { SeededRandom } from '../../src/training/random.js';

interface Spread { answers: string[]; mean: [number, number]; deviation: [number, number] }
interface Golden {
  student: { t: number; degrees: number; p: number }[];
  paired: { differences: number[]; t: number; p: number }[];
  flips: { differences: number[]; p: number }[];
  tables: { answers: number[][]; seeds: number[][]; images: number[][]; interval: [number, number] }[];
  spread: Spread[];
  scipy: Spread[];
}
const golden = JSON.parse(readFileSync(path.join(process.cwd(), 'test/unit/golden/resampling.json'), 'utf8')) as Golden;

function close(actual: number, expected: number, what: string, tolerance = 1e-9): void {
  assert.ok(Math.abs(actual - expected) <= tolerance * Math.abs(expected), `${what}: ${String(actual)}, SciPy has ${String(expected)}`);
}

describe('Student\'s t', () => {
  test('its two-sided p is SciPy\'s, in the middle and far out', () => {
    for (const { t, degrees, p } of golden.student) {
      close(studentTwoSided(t, degrees), p, `t ${String(t)} with ${String(degrees)}`);
      assert.equal(studentTwoSided(-t, degrees), studentTwoSided(t, degrees));
    }
    assert.equal(studentTwoSided(0, 4), 1);
    assert.equal(studentTwoSided(Infinity, 4), 0);
    for (const [t, degrees] of [[1, 0], [1, 1.5], [NaN, 3]] as const) assert.throws(() => studentTwoSided(t, degrees), RangeError);
  });
  test('the paired test is SciPy\'s', () => {
    for (const { differences, t, p } of golden.paired) {
      const found = pairedT(differences);
      close(found.t, t, `t of ${String(differences)}`);
      close(found.p, p, `p of ${String(differences)}`);
    }
  });
  test('without any spread there is no doubt', () => {
    assert.deepEqual(pairedT([0.02, 0.02, 0.02]), { t: Infinity, p: 0 });
    assert.deepEqual(pairedT([-0.1, -0.1]), { t: -Infinity, p: 0 });
    assert.deepEqual(pairedT([0, 0, 0]), { t: 0, p: 1 });
    assert.throws(() => pairedT([0.1]), RangeError);
  });
});

describe('the exact sign-flip test', () => {
  test('is SciPy\'s permutation test over every flip', () => {
    for (const { differences, p } of golden.flips) {
      close(signFlipExact(differences), p, String(differences));
      close(signFlipExact(differences.map((value) => -value)), p, `the negative of ${String(differences)}`);
    }
    assert.throws(() => signFlipExact([0.5]), RangeError);
  });
  test('is McNemar\'s with one seed, for thousands of images too', () => {
    for (const [first, second] of [[5, 4], [0, 0], [9, 1], [0, 12], [300, 240], [700, 900]] as const) {
      close(signFlipExact([...Array<number>(first).fill(1), ...Array<number>(second).fill(-1), 0, 0]), mcnemarExact(first, second), `${String(first)} against ${String(second)}`);
    }
  });
});

/** Gives the seeds and images of a table, draw after draw. */
class TableIndices implements RandomIntegers {
  private readonly queue: number[];

  constructor(seeds: number[][], images: number[][]) {
    this.queue = seeds.flatMap((row, draw) => [...row, ...images[draw]!]);
  }

  integer(below: number): number {
    const next = this.queue.shift();
    assert.ok(next !== undefined && next < below);
    return next;
  }
}

describe('the bootstrap over seeds and images', () => {
  test('from a table of indices it is NumPy\'s', () => {
    for (const { answers, seeds, images, interval } of golden.tables) {
      const found = twoWayBootstrap(answers, new TableIndices(seeds, images), { draws: seeds.length });
      close(found[0], interval[0], 'low');
      close(found[1], interval[1], 'high');
    }
  });
  for (const [name, cases] of [['NumPy\'s over seeds and images', golden.spread], ['SciPy\'s over images, with one seed', golden.scipy]] as const) {
    test(`by our own generator it is ${name}, within three Monte-Carlo standard errors`, () => {
      for (const { answers, mean, deviation } of cases) {
        const table = answers.map((row) => Uint8Array.from(row, Number));
        const found = twoWayBootstrap(table, new SeededRandom(0, 'bootstrap'));
        for (const end of [0, 1] as const) {
          // An end is a multiple of 1 / (seeds · images), so the reference may not vary at all.
          const step = 1 / (table.length * table[0]!.length);
          assert.ok(Math.abs(found[end] - mean[end]) <= 3 * deviation[end] + step / 2, `${String(found)}, expected ${String(mean)} ± ${String(deviation)}`);
        }
      }
    });
  }
  test('the same generator gives the same interval, and nothing to draw from is refused', () => {
    const table = [Uint8Array.of(1, 0, 1, 1), Uint8Array.of(1, 1, 0, 1)];
    assert.deepEqual(twoWayBootstrap(table, new SeededRandom(1, 'bootstrap')), twoWayBootstrap(table, new SeededRandom(1, 'bootstrap')));
    for (const answers of [[], [[]], [[1, 0], [1]]]) assert.throws(() => twoWayBootstrap(answers, new SeededRandom(0, 'bootstrap')), RangeError);
    assert.equal(quantile([1, 2, 3, 4], 0.5), 2.5);
  });
});
