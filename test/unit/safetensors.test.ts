import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { readSafetensors, writeSafetensors } from '../../src/network/weights/safetensors.js';
import type { StateDict } from '../../src/network/weights/stateDict.js';
import { ThawError } from '../../src/protocol/errors.js';
import { SeededRandom } from '../../src/training/random.js';

const state: StateDict = new Map([
  ['a.weight', { dtype: 'float32', shape: [2, 2], data: new Float32Array([1, -0, NaN, 4]) }],
  ['__proto__', { dtype: 'int64', shape: [], data: new BigInt64Array([-5n]) }],
  ['empty', { dtype: 'float64', shape: [0, 3], data: new Float64Array(0) }],
  ['7', { dtype: 'uint8', shape: [3], data: new Uint8Array([1, 2, 3]) }],
]);

function file(header: unknown, data = Buffer.alloc(0)): Buffer {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, data]);
}

function refusal(bytes: Uint8Array, message: RegExp): void {
  assert.throws(() => readSafetensors(bytes), (error) => error instanceof ThawError && error.code === 'bad-checkpoint' && message.test(error.message));
}

void test('reads back what it wrote, bit for bit', () => {
  const { state: read, metadata } = readSafetensors(writeSafetensors(state, { epoch: '3' }));
  assert.deepEqual(metadata, { epoch: '3' });
  assert.deepEqual(new Set(read.keys()), new Set(state.keys()));
  for (const [name, tensor] of state) {
    const other = read.get(name);
    assert.deepEqual([other?.dtype, other?.shape], [tensor.dtype, tensor.shape]);
    assert.deepEqual(Buffer.from(other?.data.buffer ?? new ArrayBuffer(0)), Buffer.from(tensor.data.buffer));
  }
});

void test('the numbers are aligned, and the header is as the format says', () => {
  const bytes = writeSafetensors(state);
  const length = Number(bytes.readBigUInt64LE());
  assert.equal(length % 8, 0);
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<string, unknown>;
  assert.deepEqual(header['a.weight'], { dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] });
});

void test('reads what another implementation wrote', () => {
  const { state: read } = readSafetensors(readFileSync(path.join(process.cwd(), 'test', 'numeric', 'golden', 'legacy.safetensors')));
  assert.deepEqual(read.get('int'), { dtype: 'int32', shape: [2], data: new Int32Array([-1, 2 ** 31 - 1]) });
  assert.deepEqual(read.get('bool'), { dtype: 'bool', shape: [2], data: new Uint8Array([1, 0]) });
});

void test('refuses what contradicts itself', () => {
  const entry = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };
  assert.equal(readSafetensors(file({ w: entry }, Buffer.alloc(8))).state.size, 1);
  refusal(Buffer.alloc(7), /cut off/);
  refusal(file({ w: entry }, Buffer.alloc(7)), /cut off/);
  refusal(file({ w: entry }, Buffer.alloc(9)), /something follows/);
  refusal(Buffer.from('ffffffffffffffff00', 'hex'), /larger than any network/);
  refusal(Buffer.from('ff0000000000000000', 'hex'), /cut off/);
  refusal(file('{'), /not JSON/);
  refusal(file(Buffer.from([0x22, 0xff, 0x22]).toString('latin1')), /no object/);
  refusal(file([]), /no object/);
  refusal(file({ w: { ...entry, dtype: 'F8_E4M3' } }, Buffer.alloc(8)), /makes no sense/);
  refusal(file({ w: { ...entry, shape: [-2] } }, Buffer.alloc(8)), /makes no sense/);
  refusal(file({ w: { ...entry, shape: [1e300, 1e300] } }, Buffer.alloc(8)), /makes no sense/);
  refusal(file({ w: { ...entry, shape: [2 ** 40, 2 ** 40] } }, Buffer.alloc(8)), /contradicts its shape/);
  refusal(file({ w: { ...entry, shape: [3] } }, Buffer.alloc(8)), /contradicts its shape/);
  refusal(file({ w: { ...entry, data_offsets: [8, 0] } }, Buffer.alloc(8)), /contradicts its shape/);
  refusal(file({ w: { ...entry, data_offsets: [4, 12] } }, Buffer.alloc(12)), /its neighbours/);
  refusal(file({ w: entry, overlap: entry }, Buffer.alloc(8)), /its neighbours/);
  refusal(file({ __metadata__: { a: 1 } }), /metadata/);
  refusal(file({ 'w\u009b2J\u2028': 1 }), /the entry of "w\?2J\?" makes no sense/);
});

void test('a damaged file is read or refused', () => {
  const random = new SeededRandom(11, 'damage');
  const whole = writeSafetensors(state);
  for (let round = 0; round < 3000; round++) {
    const bytes = Buffer.from(whole.subarray(0, random.integer(10) === 0 ? random.integer(whole.length) : whole.length));
    if (bytes.length > 0) bytes[random.integer(bytes.length)] = random.integer(256);
    try {
      readSafetensors(bytes);
    } catch (error) {
      if (!(error instanceof ThawError)) throw error;
    }
  }
});
