// Advice outlives the window: kept for the workspace, found by folder, and what another version kept in another shape is left out.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Memento } from 'vscode';
import { AdviceStore } from '../../src/extension/adviceStore.js';
import type { Advice, Proportion } from '../../src/protocol/advice.js';

/** VS Code's memento as it behaves over a reload: values go through JSON. */
function newMemory(): Memento {
  const values = new Map<string, string>();
  const get = (key: string, fallback?: unknown): unknown => {
    const text = values.get(key);
    return text === undefined ? fallback : JSON.parse(text);
  };
  return {
    keys: () => [...values.keys()],
    get: get,
    update: (key, value) => {
      values.set(key, JSON.stringify(value));
      return Promise.resolve();
    },
  };
}

const score: Proportion = { accuracy: 0.5, correct: 5, total: 10, interval: [0.2, 0.8] };
const advice = (path: string, seconds = 1): Advice => ({
  schemaVersion: 1, dataset: { name: 'birds', path }, network: { backbone: 'efficientnet_lite0', colour: 'rgb' }, device: 'CPU', recommendation: 'freeze', reason: 'Because.', confidence: 'low', minutes: 1,
  decision: { recommendation: 'freeze', confidence: 'low', size: 'small', distance: 'near', because: 'nothing-to-gain', errorsRemoved: 0, expectedImages: 0 },
  measurements: {
    classes: 2, train: 10, validation: 4, perClass: { least: 5, median: 5, most: 5 }, measured: 10, probe: score, nearestMean: score, learningCurve: [], logme: [], seconds: { freeze: 1, finetune: 9 },
  },
  seconds,
});

test('the advice on a folder is there after a reload, the last one given', async () => {
  const memory = newMemory();
  await new AdviceStore(memory).keep(advice('/a', 1));
  await new AdviceStore(memory).keep(advice('/b'));
  await new AdviceStore(memory).keep(advice('/a', 2));
  const reloaded = new AdviceStore(memory);
  assert.deepEqual(reloaded.get('/a'), advice('/a', 2));
  assert.deepEqual(reloaded.get('/b'), advice('/b'));
  assert.equal(reloaded.get('/c'), undefined);
});

test('only so many are kept, and nothing of another shape is handed out', async () => {
  const memory = newMemory();
  await memory.update('thaw.advice', [{ ...advice('/old'), schemaVersion: 0 }, 'text', advice('/good')]);
  const store = new AdviceStore(memory);
  assert.deepEqual([store.get('/old'), store.get('/good')?.dataset.path], [undefined, '/good']);
  for (let index = 0; index < 25; index++) await store.keep(advice(`/${String(index)}`));
  assert.equal(memory.get<unknown[]>('thaw.advice')?.length, 20);
  assert.equal(store.get('/0'), undefined);
  assert.ok(store.get('/24') !== undefined);
});
