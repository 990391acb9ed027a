// Every network at full width, from weights that PyTorch saved, against PyTorch's float64. Some 300 MB, so they are made by golden/make_full_width.py
// where THAW_TEST_PYTHON names a Python with PyTorch; the narrow networks of network.test.ts are checked everywhere.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Tensor4D } from '@tensorflow/tfjs';
import { loadEngine, type Engine } from '../../src/engine/load.js';
import { ARCHITECTURES, graphFor } from '../../src/network/architectures.js';
import { foldBatchNorm, inferenceForward } from '../../src/network/forward.js';
import { loadParameters } from '../../src/network/parameters.js';
import { readSafetensors } from '../../src/network/weights/safetensors.js';
import { readWeightsFile } from '../../src/network/weights/weightsFile.js';
import { maximumError } from './goldenNetwork.js';

const PYTHON = process.env['THAW_TEST_PYTHON'];
const TOLERANCE = 1e-3;

describe('full width', { skip: PYTHON === undefined && 'THAW_TEST_PYTHON names no Python with PyTorch' }, () => {
  let folder: string;
  let engine: Engine;
  before(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'thaw-full-width-'));
    execFileSync(PYTHON ?? '', [path.resolve('test/numeric/golden/make_full_width.py'), folder], { stdio: ['ignore', 'ignore', 'inherit'] });
    engine = await loadEngine();
  });
  after(() => { rmSync(folder, { recursive: true, force: true }); });

  for (const name of ARCHITECTURES) {
    test(`${name}: features and logits are PyTorch's`, async (context) => {
      const { state: exact } = readSafetensors(readFileSync(path.join(folder, `${name}.safetensors`)));
      const value = (key: string): { data: Float32Array; shape: readonly number[] } => {
        const tensor = exact.get(key);
        assert.ok(tensor?.dtype === 'float32', key);
        return tensor;
      };
      const graph = graphFor(name, 1000);
      const parameters = loadParameters(engine.tf, graph, await readWeightsFile(readFileSync(path.join(folder, `${name}.pth`))), { head: 'from-weights' });
      const folded = foldBatchNorm(engine, graph, parameters);
      for (const tensor of parameters.values()) tensor.dispose();
      const images = value('images');
      const errors = Object.fromEntries(([['features', graph.features], ['logits', undefined]] as const).map(([key, until]) => {
        const found = engine.tf.tidy(() => inferenceForward(engine, graph, folded, engine.tf.tensor(images.data, [...images.shape] as Tensor4D['shape']), { ...(until !== undefined && { until }) }).dataSync<'float32'>());
        return [key, maximumError(found, value(key).data)];
      }));
      folded.dispose();
      context.diagnostic(JSON.stringify(errors));
      for (const [key, error] of Object.entries(errors)) assert.ok(error <= TOLERANCE, `${key}: ${String(error)}`);
    });
  }
});
