import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { readPyTorchFile } from '../../src/network/weights/pytorchFile.js';
import { readSafetensors } from '../../src/network/weights/safetensors.js';
import { asFloat32, storedTensor, type StateDict } from '../../src/network/weights/stateDict.js';
import { readWeightsFile } from '../../src/network/weights/weightsFile.js';
import { ThawError } from '../../src/protocol/errors.js';
import { crc32 } from '../../src/storage/crc32.js';
import { SeededRandom } from '../../src/training/random.js';
import { global, join, number, op, pickled, storage, tensor, text, tuple } from './pickleBytes.js';

const golden = (name: string): Buffer => readFileSync(path.join(process.cwd(), 'test', 'unit', 'golden', name));
const plainly = (name: string): StateDict => readSafetensors(golden(name)).state;

async function refusal(bytes: Uint8Array, message: RegExp): Promise<void> {
  await assert.rejects(readPyTorchFile(bytes), (error) => error instanceof ThawError && error.code === 'bad-checkpoint' && message.test(error.message));
}

interface ZipEntry {
  readonly name: string;
  readonly content: Buffer;
  readonly deflated?: boolean;
  /** What the central directory says, where it is not so. */
  readonly claims?: { readonly bytes?: number; readonly offset?: number; readonly crc?: number; readonly flags?: number };
}

/** A zip archive by hand (APPNOTE 6.3), any field of which may lie. */
function zip(entries: readonly ZipEntry[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, content, deflated = false, claims = {} } of entries) {
    const data = deflated ? deflateRawSync(content) : content;
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(claims.flags ?? 0, 2);
    fields.writeUInt16LE(deflated ? 8 : 0, 4);
    fields.writeUInt32LE(claims.crc ?? crc32(content), 10);
    fields.writeUInt32LE(claims.bytes ?? data.length, 14);
    fields.writeUInt32LE(claims.bytes ?? content.length, 18);
    fields.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from('PK\u0003\u0004', 'latin1'), fields, Buffer.from(name), data]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(claims.offset ?? offset, 10);
    directory.push(Buffer.concat([Buffer.from('PK\u0001\u0002\u0014\u0000', 'latin1'), fields, tail, Buffer.from(name)]));
    parts.push(local);
    offset += local.length;
  }
  const end = Buffer.alloc(22);
  end.write('PK\u0005\u0006', 'latin1');
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(directory.reduce((sum, { length }) => sum + length, 0), 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, ...directory, end]);
}

const W = tensor(storage('0', number(2)), number(0), tuple(number(2)), tuple(number(1)));
const PICKLE = pickled('}', text('w'), W, 's');
const DATA = Buffer.from(new Float32Array([1.5, -2]).buffer);

/** A checkpoint of one float tensor `w` of two numbers. */
function checkpoint(change: { pickle?: Buffer; pickleClaims?: ZipEntry['claims']; deflated?: boolean; data?: Buffer; dataClaims?: ZipEntry['claims']; more?: readonly ZipEntry[] } = {}): Buffer {
  const { pickleClaims, dataClaims, deflated = false } = change;
  return zip([
    { name: 'archive/data.pkl', content: change.pickle ?? PICKLE, deflated, ...(pickleClaims && { claims: pickleClaims }) },
    { name: 'archive/data/0', content: change.data ?? DATA, deflated, ...(dataClaims && { claims: dataClaims }) },
    ...change.more ?? [],
  ]);
}

void test('reads what PyTorch wrote in either layout: types, views, strides, shared storages', async () => {
  const expected = plainly('checkpoint.safetensors');
  assert.equal(expected.size, 22);
  for (const name of ['checkpoint.pth', 'checkpointLegacy.pth', 'unchecked.pth']) {
    const state = await readPyTorchFile(golden(name));
    assert.deepEqual(new Set(state.keys()), new Set(expected.keys()), name);
    for (const [key, read] of state) assert.deepEqual(read, expected.get(key), `${name}: ${key}`);
  }
});

void test('floating-point tensors become float32 as PyTorch makes them', async () => {
  const expected = plainly('checkpointFloat32.safetensors');
  const state = await readPyTorchFile(golden('checkpoint.pth'));
  let compared = 0;
  for (const [name, read] of state) {
    const values = asFloat32(read);
    assert.equal(values !== undefined, expected.has(name), name);
    if (values === undefined) continue;
    const wanted = expected.get(name);
    assert.ok(wanted?.dtype === 'float32');
    assert.deepEqual(new Uint32Array(values.slice().buffer), new Uint32Array(wanted.data.slice().buffer), name);
    compared++;
  }
  assert.equal(compared, expected.size);
});

void test('every half-precision number has the value that IEEE 754 gives it', () => {
  const halves = storedTensor('float16', [65536], Uint16Array.from({ length: 65536 }, (_, bits) => bits).buffer);
  const values = asFloat32(halves) ?? new Float32Array();
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31;
    const fraction = (bits & 1023) / 1024;
    const size = exponent === 31 ? (fraction === 0 ? Infinity : NaN) : exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15);
    assert.ok(Object.is(values[bits], bits < 32768 ? size : -size) || (Number.isNaN(size) && Number.isNaN(values[bits])), `0x${bits.toString(16)}`);
  }
});

void test('reads the state dict out of what a training script saved, and a module\'s parameters', async () => {
  const expected = plainly('module.safetensors');
  const state = await readWeightsFile(golden('training.pth'));
  assert.deepEqual(new Map([...state].sort()), new Map([...expected].sort()));
  const parameters = await readWeightsFile(golden('parameters.pth'));
  assert.deepEqual([...parameters.keys()], ['0.weight', '0.bias', '1.weight', '1.bias', '3.weight', '3.bias']);
  for (const [name, read] of parameters) assert.deepEqual(read, expected.get(name), name);
  assert.deepEqual(await readWeightsFile(golden('module.safetensors')), expected);
});

void test('refuses a pickled module, naming what it would have called', async () => {
  await refusal(golden('wholeModule.pth'), /"torch\.nn\.modules\.container\.Sequential", which is no tensor/);
});

void test('reads an archive made by hand', async () => {
  const read = (await readPyTorchFile(checkpoint())).get('w');
  assert.deepEqual([read?.dtype, read?.shape, read?.dtype === 'float32' ? [...read.data] : []], ['float32', [2], [1.5, -2]]);
});

void test('refuses archives that PyTorch does not write', async () => {
  await refusal(checkpoint({ deflated: true }), /compressed/);
  await refusal(checkpoint({ deflated: true, pickle: join(PICKLE, Buffer.alloc(50_000_000, 'N')) }), /compressed/); // 50 MB out of 50 kB
  await refusal(checkpoint({ dataClaims: { flags: 1 } }), /encrypted|damaged/);
  await refusal(checkpoint({ dataClaims: { bytes: 0x7fff_ffff } }), /cut off|damaged/);
  await refusal(checkpoint({ dataClaims: { offset: 0x7fff_ffff } }), /damaged/);
  await refusal(checkpoint({ dataClaims: { crc: 1 } }), /its checksum is another/);
  await refusal(checkpoint({ pickleClaims: { crc: 1 } }), /its checksum is another/);
  await refusal(checkpoint({ data: DATA.subarray(0, 4) }), /contradicts itself/);
  await refusal(checkpoint({ data: Buffer.alloc(12) }), /contradicts itself/);
  await refusal(checkpoint({ pickle: join(PICKLE, 'N') }), /something follows/);
  await refusal(checkpoint({ more: [{ name: 'archive/data/0', content: DATA }] }), /twice/);
  await refusal(checkpoint({ more: [{ name: 'other/data.pkl', content: PICKLE }] }), /one data\.pkl/);
  await refusal(checkpoint({ more: [{ name: 'archive/byteorder', content: Buffer.from('big') }] }), /little-endian/);
  await refusal(checkpoint({ more: [{ name: '../evil', content: DATA }] }), /damaged/);
  await refusal(zip([{ name: 'archive/data.pkl', content: PICKLE }]), /the data of "w" are missing/);
  await refusal(zip([{ name: 'data.pkl', content: PICKLE }]), /one data\.pkl/);
  await refusal(zip([]), /one data\.pkl/);
  await refusal(Buffer.from('PK\u0003\u0004rest', 'latin1'), /damaged/);
});

void test('the pickle in an archive is held to what the legacy one is', async () => {
  await refusal(checkpoint({ pickle: pickled(global('os', 'system'), tuple(text('touch ran')), 'R') }), /"os\.system", which is no tensor/);
  await refusal(checkpoint({ pickle: pickled('}', text('w'), tensor(storage('0', number(2)), number(-1), tuple(number(2)), tuple(number(1))), 's') }), /makes no sense/);
  await refusal(checkpoint({ pickle: pickled('}', text('w'), tensor(storage('0', number(2)), number(1), tuple(number(2)), tuple(number(1))), 's') }), /beyond its storage/);
  await refusal(checkpoint({ pickle: pickled('}', text('w'), tensor(storage('0', number(1_000_000)), number(0), tuple(number(2)), tuple(number(1))), 's') }), /larger than the file/);
  await refusal(checkpoint({ pickle: pickled('}', text('w'), tensor(storage('../../0', number(2)), number(0), tuple(number(2)), tuple(number(1))), 's') }), /data of "w" are missing/);
  const large = tensor(storage('0', number(4096)), number(0), tuple(number(4096)), tuple(number(1)));
  const again = Array.from({ length: 100 }, (_, index) => join(text(String(index)), op(0x68, 9)));
  await refusal(checkpoint({ pickle: pickled('}(', text('first'), large, op(0x71, 9), ...again, 'u'), data: Buffer.alloc(4 * 4096) }), /larger than its data/);
  await refusal(checkpoint({ pickle: pickled('}', text('state_dict'), '}', text('w'), number(3), 's', 's') }), /other than named tensors: "w"/);
  await refusal(checkpoint({ pickle: pickled('}', text('epoch'), number(3), 's') }), /other than named tensors: "epoch"/);
});

void test('refuses a file cut off anywhere', async () => {
  const whole = checkpoint();
  for (let length = 0; length < whole.length; length++) await refusal(whole.subarray(0, length), /./);
});

void test('a damaged file is read or refused, and never costs more memory than twice its size', async () => {
  const random = new SeededRandom(13, 'damage');
  let read = 0;
  const sources = [golden('unchecked.pth'), checkpoint({ pickleClaims: { crc: 0 }, dataClaims: { crc: 0 } })];
  for (let round = 0; round < 3000; round++) {
    const bytes = Buffer.from(sources[round % 2] ?? DATA);
    const damage = 1 + random.integer(4);
    for (let index = 0; index < damage; index++) bytes[random.integer(bytes.length)] = random.integer(256);
    try {
      const state = await readPyTorchFile(bytes);
      const total = [...state.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
      assert.ok(total <= 2 * bytes.length);
      read++;
    } catch (error) {
      if (!(error instanceof ThawError)) throw error;
      assert.equal(error.code, 'bad-checkpoint');
    }
  }
  assert.ok(read > 0, 'some damage lies in the numbers only');
});
