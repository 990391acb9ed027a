import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzWeights } from './weightsFuzz.js';

void test('damaged files of weights are read or refused, soon and in little memory', async () => {
  const { readers, refusals } = await fuzzWeights({ seed: 1, count: 6000 });
  for (const { inputs, read } of Object.values(readers)) assert.ok(inputs === 2000 && read > 0 && read < inputs);
  assert.ok(refusals >= 40, `${refusals} reasons: the damage goes deep`);
});
