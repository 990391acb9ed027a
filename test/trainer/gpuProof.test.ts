// The proof of a GPU, where there is none: two children on the CPU must agree, and whatever is wrong must be seen.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { findRuntime } from '../../src/engine/runtime.js';
import { ThawError } from '../../src/protocol/errors.js';
import { compareResults, computeInChild, proveGpu, type DeviceResult } from '../../src/trainer/gpuProof.js';
import { NO_GPU, ONE_GPU, pretendNvidiaSmi } from '../harness/pretendGpu.js';
import { jsonLines, temporaryFolder, thaw } from './thaw.js';

const PROGRAM = { execPath: process.execPath, script: path.resolve('dist/trainer.js') };
const OPERATIONS = [
  'convolution', 'convolution, gradient of the filter', 'convolution, gradient of the input',
  'depthwise convolution', 'depthwise convolution, gradient of the filter', 'depthwise convolution, gradient of the input',
  'fused batch norm', 'fused batch norm, gradient of the input', 'matrix product',
];

let first: DeviceResult;
before(async () => { first = await computeInChild({ ...process.env, THAW_DEVICE: 'cpu', THAW_THREADS: '1' }, false, PROGRAM); });

function changed(name: string, change: (values: Float32Array) => void): DeviceResult {
  const bytes = new Uint8Array(Buffer.from(first.operations[name]!, 'base64'));
  const values = new Float32Array(bytes.buffer);
  change(values);
  return { ...first, operations: { ...first.operations, [name]: Buffer.from(values.buffer).toString('base64') } };
}

function wrong(name: string): (error: unknown) => boolean {
  return (error) => error instanceof ThawError && error.code === 'gpu-wrong' && error.message.startsWith(`The GPU computes a wrong ${name}: `);
}

test('one CPU and the same on other threads compute alike, and every operation of training is asked', async () => {
  assert.deepEqual(Object.keys(first.operations).sort(), OPERATIONS);
  const second = await computeInChild({ ...process.env, THAW_DEVICE: 'cpu', THAW_THREADS: '2' }, true, PROGRAM);
  const errors = compareResults(first, second, 1e-5);
  assert.deepEqual(Object.keys(errors).sort(), OPERATIONS);
  assert.ok(second.imagesPerSecond !== undefined && second.imagesPerSecond > 0.1 && second.imagesPerSecond < 1000, String(second.imagesPerSecond));
  assert.equal(first.imagesPerSecond, undefined);
});

test('the values are what the operations should give', () => {
  // The matrix product again, in plain JavaScript.
  const made = (length: number, frequency: number): Float32Array => Float32Array.from({ length }, (_, index) => Math.sin(index * frequency) + 0.5 * Math.cos(index * 0.013));
  const [a, b] = [made(256 * 512, 0.37), made(512 * 128, 0.21)];
  const product = (left: Float32Array, right: Float32Array): Float32Array => Float32Array.from({ length: 256 * 128 }, (_, index) => {
    let sum = 0;
    for (let inner = 0; inner < 512; inner++) sum += left[Math.floor(index / 128) * 512 + inner]! * right[inner * 128 + index % 128]!;
    return sum;
  });
  const exact = { ...first, operations: { 'matrix product': Buffer.from(product(a, b).buffer).toString('base64') } };
  assert.ok(compareResults(exact, first, 1e-5)['matrix product']! > 0);
  // What a GPU in TF32 would give at its worst, mantissas cut to 10 bits: inside the wider bound.
  const rounded = (values: Float32Array): Float32Array => {
    const bits = new Uint32Array(values.slice().buffer);
    for (const [index, value] of bits.entries()) bits[index] = value & 0xffffe000;
    return new Float32Array(bits.buffer);
  };
  const tf32 = { ...first, operations: { 'matrix product': Buffer.from(product(rounded(a), rounded(b)).buffer).toString('base64') } };
  const error = compareResults(exact, tf32, 1e-2)['matrix product']!;
  assert.ok(error > 1e-5 && error < 1e-2, String(error));
});

test('a GPU that computes wrongly is seen, and named by the operation', () => {
  for (const name of OPERATIONS) {
    assert.throws(() => compareResults(first, changed(name, (values) => { for (const [index, value] of values.entries()) values[index] = value * 1.01; }), 1e-3), wrong(name));
    assert.throws(() => compareResults(first, changed(name, (values) => { values[7] = NaN; }), 1e-3), wrong(name));
    assert.throws(() => compareResults(first, changed(name, (values) => { values.fill(0); }), 1e-3), wrong(name));
    // Two rows exchanged: the same numbers at the wrong places.
    assert.throws(() => compareResults(first, changed(name, (values) => { values.set([...values.subarray(0, values.length / 2)].reverse()); }), 1e-3), wrong(name));
  }
  assert.throws(() => compareResults(first, { ...first, operations: {} }, 1e-3), wrong('convolution'));
});

test('without a GPU there is no proof, and the reason is said', async () => {
  const runtime = findRuntime();
  assert.ok(runtime);
  const proving = proveGpu(runtime.directory, { ...PROGRAM, environment: process.env });
  if (runtime.flavour === 'cpu') await assert.rejects(proving, (error) => error instanceof ThawError && error.code === 'no-gpu' && /this TensorFlow is the CPU build/.test(error.message));
  else await proving.catch((error: unknown) => { assert.ok(error instanceof ThawError); });
});

test('a child that fails is quoted', async (context) => {
  const folder = temporaryFolder(context);
  await assert.rejects(computeInChild({ ...process.env, THAW_RUNTIME: folder }, false, PROGRAM), (error) => error instanceof ThawError && error.code === 'gpu-failed' && error.message.includes(folder));
});

test('set-up for a GPU where there is none fetches nothing and says so', async (context) => {
  const folder = temporaryFolder(context);
  const home = path.join(folder, 'home');
  const outcome = await thaw(['setup', '--device', 'gpu', '--json'], { THAW_HOME: home, PATH: pretendNvidiaSmi(folder, NO_GPU) });
  assert.equal(outcome.code, 3);
  assert.match(outcome.stderr, /^No NVIDIA GPU found\. Train on the CPU/);
  assert.deepEqual(jsonLines(outcome.stdout).map(({ type, code }) => [type, code]), [['error', 'no-gpu']]);
  assert.equal(existsSync(path.join(home, 'wheels')), false);
});

test('set-up for a GPU that training would not use fetches nothing and says what stands in the way', async (context) => {
  const folder = temporaryFolder(context);
  const home = path.join(folder, 'home');
  for (const [variables, code, words] of [
    [{ THAW_RUNTIME: '/opt/tensorflow' }, 'runtime-configured', /^Training would stay on the TensorFlow in \/opt\/tensorflow, which THAW_RUNTIME or the setting thaw\.runtimeFolder names\. Unset it/],
    [{ THAW_DEVICE: 'cpu' }, 'cpu-chosen', /^Training would stay on the CPU, which THAW_DEVICE or the setting thaw\.device asks for\. Unset it/],
  ] as const) {
    const outcome = await thaw(['setup', '--device', 'gpu', '--json'], { THAW_HOME: home, PATH: pretendNvidiaSmi(folder, ONE_GPU), ...variables });
    assert.equal(outcome.code, 2);
    assert.match(outcome.stderr, words);
    assert.deepEqual(jsonLines(outcome.stdout).map(({ type, code: said }) => [type, said]), [['error', code]]);
    assert.equal(existsSync(home), false);
  }
});

test('arguments of set-up that make no sense are refused', async () => {
  assert.equal((await thaw(['setup', '--device', 'tpu'])).code, 2);
  assert.equal((await thaw(['setup', '--remove', '--from', '/tmp'])).code, 2);
});

test('setup --remove frees what set-ups have fetched, and leaves images and a person\'s own folders', async (context) => {
  const home = path.join(temporaryFolder(context), 'home');
  const put = (file: string, bytes: number): string => {
    mkdirSync(path.dirname(path.join(home, file)), { recursive: true });
    writeFileSync(path.join(home, file), Buffer.alloc(bytes));
    return path.join(home, file);
  };
  const cuda = put(`runtimes/tensorflow-cuda-2.21.0-${process.platform}-${process.arch}/tensorflow/libtensorflow_cc.so.2`, 5000);
  const cpu = put(`runtimes/tensorflow-cpu-2.21.0-${process.platform}-${process.arch}/tensorflow/libtensorflow_cc.so.2`, 3000);
  const weights = put('weights/a.pth', 200);
  const partial = put('wheels/a.whl.part', 70);
  const image = put('images/ab/abcd', 40);
  const gpu = await thaw(['setup', '--remove', '--device', 'gpu', '--json'], { THAW_HOME: home });
  assert.deepEqual(jsonLines(gpu.stdout), [{ type: 'result', freedBytes: 5070 }]);
  assert.deepEqual([cuda, cpu, weights, partial, image].map((file) => existsSync(file)), [false, true, true, false, true]);
  const all = await thaw(['setup', '--remove', '--json'], { THAW_HOME: home });
  assert.deepEqual(jsonLines(all.stdout), [{ type: 'result', freedBytes: 3200 }]);
  assert.deepEqual([cpu, weights, image].map((file) => existsSync(file)), [false, false, true]);
});
