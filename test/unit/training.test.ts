// The loops' pure parts: batches, scores, schedules, seeded numbers, recipes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as v from 'valibot';
import { recipeSchema } from '../../src/protocol/run.js';
import { isBetter } from '../../src/metrics/bestEpoch.js';
import type { EpochScore } from '../../src/protocol/events.js';
import { batchBounds, evaluateLogits, newHead } from '../../src/training/loop.js';
import { headRate, warmUpCosine } from '../../src/training/optimizer.js';
import { SeededRandom } from '../../src/training/random.js';
import { defaultRecipe } from '../../src/training/recipes.js';

test('batches cover an epoch, all of one size up to one image', () => {
  for (const [images, batch] of [[245, 16], [1, 16], [17, 16], [24, 16], [16, 16], [1399, 32], [5, 1]] as const) {
    const bounds = batchBounds(images, batch);
    const sizes = bounds.slice(1).map((to, index) => to - (bounds[index] ?? 0));
    assert.equal(bounds[0], 0);
    assert.equal(bounds.at(-1), images);
    assert.ok(Math.max(...sizes) - Math.min(...sizes) <= 1, sizes.join());
    assert.ok(Math.max(...sizes) <= Math.max(batch, Math.ceil(batch * 1.5)), sizes.join());
  }
});

test('logits become probabilities, accuracy and mean cross-entropy', () => {
  // PyTorch: softmax and cross_entropy of [[2, 1, 0.1], [0, 0, 0], [1000, 0, -1000]] with labels 0, 1, 2, in float64.
  const { probabilities, score } = evaluateLogits(Float32Array.of(2, 1, 0.1, 0, 0, 0, 1000, 0, -1000), [0, 1, 2], 3);
  const expected = [0.6590011388859679, 0.2424329707047139, 0.09856589040931818, 1 / 3, 1 / 3, 1 / 3, 1, 0, 0];
  for (const [index, value] of expected.entries()) assert.ok(Math.abs((probabilities[index] ?? NaN) - value) < 1e-6, String(index));
  assert.equal(score.correct, 1); // the tie of the second row goes to class 0
  assert.equal(score.total, 3);
  assert.ok(Math.abs(score.loss - (0.4170300162778335 + Math.log(3) + 2000) / 3) < 1e-6, String(score.loss));
});

test('the best epoch: accuracy, then loss, then the earlier', () => {
  const score = (correct: number, loss: number): EpochScore => ({ accuracy: correct / 10, correct, total: 10, loss });
  assert.ok(isBetter(score(1, 9), undefined));
  assert.ok(isBetter(score(9, 2), score(8, 1)));
  assert.ok(!isBetter(score(8, 1), score(9, 2)));
  assert.ok(isBetter(score(9, 1), score(9, 2)));
  assert.ok(!isBetter(score(9, 2), score(9, 2)));
});

test('the head\'s rate falls by a cosine, or stays after its warm-up', () => {
  for (const step of [0, 7, 99]) assert.equal(headRate({ warmupShare: 0.1, schedule: 'cosine' }, step, 100), warmUpCosine(step, 100, 0.1));
  const constant = (step: number, warmupShare: number): number => headRate({ warmupShare, schedule: 'constant' }, step, 100);
  assert.deepEqual([constant(0, 0), constant(99, 0)], [1, 1]);
  assert.deepEqual([constant(0, 0.1), constant(4, 0.1), constant(9, 0.1), constant(50, 0.1)], [0.1, 0.5, 1, 1]);
});

test('warm-up rises to the full rate, the cosine falls to zero', () => {
  const rates = Array.from({ length: 100 }, (_, step) => warmUpCosine(step, 100, 0.1));
  assert.ok(Math.abs((rates[0] ?? 0) - 0.1) < 1e-12);
  assert.equal(rates[9], 1);
  assert.equal(rates[10], 1);
  assert.ok(Math.abs((rates[55] ?? 0) - 0.5) < 1e-12);
  assert.ok((rates[99] ?? 1) < 0.001);
  for (let step = 11; step < 100; step++) assert.ok((rates[step] ?? 0) < (rates[step - 1] ?? 0));
});

test('seeded numbers: repeatable, apart by purpose and seed, evenly spread', () => {
  const draw = (seed: number, purpose: string): number[] => { const random = new SeededRandom(seed, purpose); return Array.from({ length: 8 }, () => random.next()); };
  assert.deepEqual(draw(1, 'order'), draw(1, 'order'));
  assert.notDeepEqual(draw(1, 'order'), draw(2, 'order'));
  assert.notDeepEqual(draw(1, 'order'), draw(1, 'head'));
  assert.notDeepEqual(draw(1, 'order'), draw(1 + 2 ** 32, 'order'));
  const random = new SeededRandom(3, 'spread');
  const counts = new Array<number>(10).fill(0);
  for (let index = 0; index < 100_000; index++) { const at = random.integer(10); counts[at] = (counts[at] ?? 0) + 1; }
  const chiSquare = counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0);
  assert.ok(chiSquare < 27.9, `chi-square ${String(chiSquare)} with 9 degrees of freedom`); // .999 quantile
  const order = new SeededRandom(5, 'order').permutation(1000);
  assert.deepEqual([...order].sort((a, b) => a - b), Array.from({ length: 1000 }, (_, index) => index));
  assert.ok([...order].filter((value, index) => value === index).length < 10);
});

test('a new head starts as PyTorch\'s nn.Linear does', () => {
  const { weight, bias } = newHead(1280, 5, new SeededRandom(0, 'head'));
  const bound = 1 / Math.sqrt(1280);
  assert.equal(weight.length, 6400);
  assert.equal(bias.length, 5);
  assert.ok(Math.max(...weight) <= bound && Math.min(...weight) >= -bound);
  const variance = weight.reduce((sum, value) => sum + value * value, 0) / weight.length;
  assert.ok(Math.abs(variance / (bound ** 2 / 3) - 1) < 0.05, 'the variance of a uniform distribution');
});

test('the default recipes are valid, and epochs and batch replace their own', () => {
  for (const strategy of ['freeze', 'finetune'] as const) {
    const recipe = v.parse(recipeSchema, defaultRecipe(strategy, 'efficientnet_lite0'));
    assert.equal(recipe.body !== undefined, strategy === 'finetune');
    const other = defaultRecipe(strategy, 'efficientnet_lite0', { epochs: 3, batch: 4 });
    assert.deepEqual([other.epochs, other.batch], [3, 4]);
    if (strategy === 'freeze') assert.deepEqual([other.head.epochs, other.head.batch], [3, 4]);
    else assert.deepEqual(other.head, recipe.head);
  }
});
