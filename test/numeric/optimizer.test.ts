// The optimizer of the last layer against PyTorch's, step by step.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { loadEngine, type Engine } from '../../src/engine/load.js';
import { AdamW } from '../../src/training/optimizer.js';

interface Case {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  readonly start: readonly number[];
  readonly steps: readonly { readonly rate: number; readonly gradient: readonly number[]; readonly value: readonly number[] }[];
}

const golden = JSON.parse(readFileSync(path.join(process.cwd(), 'test', 'numeric', 'golden', 'adamw.json'), 'utf8')) as { readonly shape: [number, number]; readonly cases: readonly Case[] };
let engine: Engine;
before(async () => { engine = await loadEngine(); });

/** Largest difference of any step, beside the largest value. */
function error(settings: Omit<Case, 'start' | 'steps'>, { start, steps }: Case): number {
  const { tf } = engine;
  const first = tf.tensor2d([...start], golden.shape);
  const variable = tf.variable(first);
  first.dispose();
  const optimizer = new AdamW(tf, settings);
  let largest = 0;
  for (const { rate, gradient, value } of steps) {
    const tensor = tf.tensor2d([...gradient], golden.shape);
    optimizer.step(new Map([['weight', variable]]), new Map([['weight', tensor]]), () => rate);
    tensor.dispose();
    const scale = Math.max(...value.map(Math.abs));
    for (const [index, ours] of variable.dataSync().entries()) largest = Math.max(largest, Math.abs(ours - (value[index] ?? NaN)) / scale);
  }
  optimizer.dispose();
  variable.dispose();
  return largest;
}

test('AdamW takes PyTorch\'s steps, whatever its settings, and others with other settings', () => {
  const tensors = engine.tf.memory().numTensors;
  for (const one of golden.cases) {
    assert.ok(error(one, one) < 2e-6, `${JSON.stringify({ ...one, start: undefined, steps: undefined })}: ${String(error(one, one))}`);
    for (const change of [{ beta1: one.beta1 * 0.99 }, { beta2: one.beta2 * 0.99 }, { epsilon: one.epsilon * 1e4 }, { weightDecay: one.weightDecay + 0.01 }]) {
      assert.ok(error({ ...one, ...change }, one) > 2e-5, JSON.stringify(change));
    }
  }
  assert.equal(engine.tf.memory().numTensors, tensors);
});
