// Exported layers models in a real browser: TensorFlow.js's own bundle loads them and gives PyTorch's numbers, and those of training.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { decodeImage } from '../../src/dataset/decode.js';
import { loadEngine, type Engine } from '../../src/engine/load.js';
import { graphFor } from '../../src/network/architectures.js';
import { exportNetwork } from '../../src/network/exports/exportNetwork.js';
import { readPredictions } from '../../src/runs/readRun.js';
import { launchBrowser } from '../harness/browser.js';
import { readGolden, type GoldenName } from '../numeric/goldenNetwork.js';
import { thaw, trainResult, TWO_SPLITS } from '../trainer/thaw.js';
import { makeRoom } from './scenario.js';

const ORIGIN = 'http://127.0.0.1:9'; // Nothing listens there: every request is answered by the test.
const PROBABILITY = 1e-4;
/** Without a GPU, TensorFlow.js takes seconds for each. */
const PHOTOGRAPHS = 8;

/** What tfjs's bundle puts into the page, as far as it is used here. */
interface PageTensorflow {
  setBackend(name: string): Promise<boolean>;
  loadLayersModel(url: string): Promise<{ predict(x: unknown): { dataSync(): Float32Array }; getUserDefinedMetadata(): Record<string, unknown> | undefined }>;
  tensor(values: Float32Array, shape: readonly number[]): unknown;
}

let browser: Browser;
let engine: Engine;
before(async () => {
  [browser, engine] = await Promise.all([launchBrowser(), loadEngine()]);
});
after(() => browser.close());

/** What the model in `files` says of `x`, `[images, size, size, 3]`, in a page; and its metadata. */
async function predictedInPage(files: (name: string) => Uint8Array, x: { readonly shape: readonly number[]; readonly data: Float32Array }): Promise<{ probabilities: number[]; metadata: Record<string, unknown> | undefined }> {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.route('**/*', (route) => {
      const [, folder, name = ''] = new URL(route.request().url()).pathname.split('/');
      if (folder === 'page') return route.fulfill({ contentType: 'text/html', body: '<!doctype html><script src="/tf/tf.min.js"></script>' });
      if (folder === 'tf') return route.fulfill({ contentType: 'text/javascript', body: readFileSync(path.resolve('node_modules/@tensorflow/tfjs/dist', name)) });
      if (folder === 'input') return route.fulfill({ body: Buffer.from(x.data.buffer, x.data.byteOffset, x.data.byteLength) });
      return folder === 'model' ? route.fulfill({ body: Buffer.from(files(name)) }) : route.abort();
    });
    await page.goto(`${ORIGIN}/page`);
    return await page.evaluate(async (shape) => {
      const { tf } = window as unknown as { tf: PageTensorflow };
      await tf.setBackend('cpu');
      const values = new Float32Array(await (await fetch('/input/x')).arrayBuffer());
      const model = await tf.loadLayersModel('/model/model.json');
      return { probabilities: [...model.predict(tf.tensor(values, shape)).dataSync()], metadata: model.getUserDefinedMetadata() };
    }, x.shape);
  } finally {
    await context.close();
  }
}

function largestDifference(a: readonly number[], b: readonly number[]): number {
  assert.equal(a.length, b.length);
  return Math.max(...a.map((value, index) => Math.abs(value - (b[index] ?? NaN))));
}

for (const name of ['lite', 'residual', 'basic', 'bottleneck', 'mobile', 'squeeze'] satisfies GoldenName[]) {
  test(`tf.loadLayersModel in a browser: the probabilities of ${name} are PyTorch's`, async () => {
    const golden = readGolden(name);
    const size = golden.images.shape[1] ?? 0;
    const graph = { ...golden.graph, inputSize: size, preprocessing: { ...golden.graph.preprocessing, crop: size } };
    const files = await exportNetwork(engine, { graph, state: golden.start, labels: ['a'], card: '' }, { format: 'tfjs', uint8: false }, '0');
    const { probabilities } = await predictedInPage((file) => files.get(file) ?? new Uint8Array(), golden.images);
    const logits = golden.value('evaluation/logits');
    const exact = engine.tf.tidy(() => [...engine.tf.softmax(engine.tf.tensor(logits, [logits.length / golden.classes, golden.classes])).dataSync()]);
    const difference = largestDifference(probabilities, exact);
    assert.ok(difference <= PROBABILITY, String(difference));
  });
}

test('tf.loadLayersModel in a browser: a trained run gives the probabilities that training wrote down', async (context) => {
  const room = makeRoom('layers');
  context.after(() => room.remove());
  const { run } = await trainResult(TWO_SPLITS, path.join(room.folder, 'runs'), '--strategy', 'freeze', '--epochs', '3');
  const out = path.join(room.folder, 'tfjs');
  const outcome = await thaw(['export', run, '--format', 'tfjs', '--out', out]);
  assert.equal(outcome.code, 0, outcome.stderr);
  const all = await readPredictions(run);
  const step = Math.floor(all.length / PHOTOGRAPHS);
  const chosen = all.filter((_, index) => index % step === 0).slice(0, PHOTOGRAPHS);
  const { mean, std, crop, resizeShortSide, kernel } = graphFor('efficientnet_lite0', 2).preprocessing;
  const pixels = Buffer.concat(await Promise.all(chosen.map(({ path: file }) => decodeImage(path.join(TWO_SPLITS, file), { id: 'test', resizeShortSide, size: crop, kernel, colour: 'rgb' }))));
  const data = Float32Array.from(pixels, (value, index) => (value - (mean[index % 3] ?? NaN)) / (std[index % 3] ?? NaN));
  const { probabilities, metadata } = await predictedInPage((file) => readFileSync(path.join(out, file)), { shape: [chosen.length, crop, crop, 3], data });
  const difference = largestDifference(probabilities, chosen.flatMap((prediction) => prediction.probabilities));
  context.diagnostic(difference.toExponential(1));
  assert.ok(difference <= PROBABILITY, String(difference));
  assert.deepEqual(metadata?.['labels'], JSON.parse(readFileSync(path.join(out, 'labels.json'), 'utf8')));
});
