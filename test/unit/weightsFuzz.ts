// Damages files of weights in every way that a few lines can think of, and holds the readers to their promise: tensors or a ThawError, soon and in
// little memory. The unit suite tries a few thousand inputs, `npm run fuzz` a million.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ELEMENT_BYTES } from '../../src/network/weights/stateDict.js';
import { readWeightsFile } from '../../src/network/weights/weightsFile.js';
import { ThawError } from '../../src/protocol/errors.js';
import { SeededRandom } from '../../src/training/random.js';

export interface FuzzOptions {
  readonly seed: number;
  readonly count: number;
  /** Called now and then. */
  readonly onProgress?: (report: FuzzReport) => void;
}

export interface FuzzReport {
  readonly inputs: number;
  /** By reader: inputs, and how many of them were read nevertheless. */
  readonly readers: Readonly<Record<Reader, { readonly inputs: number; readonly read: number }>>;
  /** Different refusals, their names and numbers left out. */
  readonly refusals: number;
  readonly slowestMs: number;
  /** Resident memory at its highest, beyond what it was at the start. */
  readonly grownBytes: number;
}

/** An input that broke the promise. */
export class FuzzFailure extends Error {
  constructor(readonly input: Uint8Array, what: string, cause?: unknown) {
    super(what, { cause });
  }
}

type Reader = 'legacy' | 'zip' | 'safetensors';

const READERS = ['legacy', 'zip', 'safetensors'] as const;
const FILES: Readonly<Record<Reader, readonly string[]>> = {
  legacy: ['test/unit/golden/checkpointLegacy.pth', 'test/numeric/golden/legacy.pth'],
  // Mostly without checksums, so that damage reaches the pickle and the tensors.
  zip: ['test/unit/golden/unchecked.pth', 'test/unit/golden/unchecked.pth', 'test/unit/golden/training.pth'],
  safetensors: ['test/unit/golden/checkpoint.safetensors', 'test/unit/golden/module.safetensors'],
};
/** Limits that any of these few kilobytes must keep, on a busy machine too. */
const MOST_MS = 5000;
const MOST_GROWN_BYTES = 512 * 1024 ** 2;
const PROGRESS_EVERY = 10_000;

/** Numbers at which sizes, offsets and counts go wrong. */
const EDGES: readonly bigint[] = [
  0n, 1n, 2n, 0x7fn, 0x80n, 0xffn, 0x100n, 0x7fffn, 0x8000n, 0xffffn, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n,
];
/** Every opcode of pickle.py, and pieces of the formats. */
const PIECES: readonly Buffer[] = [
  ...Array.from('(.012FIJKLMNPQRSTUVXabcdeghijlopqrstu)}]', (code) => Buffer.from(code, 'latin1')),
  ...Array.from({ length: 0x18 }, (_, index) => Buffer.from([0x80 + index])),
  Buffer.from('cos\nsystem\n'), Buffer.from('ctorch\nFloatStorage\n'), Buffer.from('ctorch._utils\n_rebuild_tensor_v2\n'), Buffer.from('ccollections\nOrderedDict\n)R'),
  Buffer.from('J\xff\xff\xff\xff', 'latin1'), Buffer.from('\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f', 'latin1'), Buffer.from('PK\u0001\u0002'), Buffer.from('PK\u0003\u0004'), Buffer.from('PK\u0005\u0006'),
  Buffer.from('PK\u0006\u0006'), Buffer.from('"F64"'), Buffer.from('[0,9007199254740993]'), Buffer.from('1e308'), Buffer.from('-1'), Buffer.from('{"'), Buffer.from('__proto__'), Buffer.from('\ud800'),
];

/** @throws FuzzFailure at the first input that breaks the promise */
export async function fuzzWeights({ seed, count, onProgress }: FuzzOptions): Promise<FuzzReport> {
  const random = new SeededRandom(seed, 'fuzz');
  const corpus = Object.fromEntries(READERS.map((reader) => [reader, FILES[reader].map((file) => readFileSync(path.join(process.cwd(), file)))])) as unknown as Record<Reader, Buffer[]>;
  const all = Object.values(corpus).flat();
  const counts: Record<Reader, { inputs: number; read: number }> = { legacy: { inputs: 0, read: 0 }, zip: { inputs: 0, read: 0 }, safetensors: { inputs: 0, read: 0 } };
  const refusals = new Set<string>();
  const before = process.memoryUsage.rss();
  let slowestMs = 0;
  let grownBytes = 0;
  const report = (inputs: number): FuzzReport => ({ inputs, readers: structuredClone(counts), refusals: refusals.size, slowestMs, grownBytes });
  for (let index = 0; index < count; index++) {
    const reader = READERS[index % READERS.length] ?? 'legacy';
    const input = mutated(pick(corpus[reader], random), all, random);
    const began = performance.now();
    counts[reader].inputs++;
    const refusal = await tried(input);
    if (refusal === undefined) counts[reader].read++;
    else refusals.add(refusal.replace(/"[^"]*"|\d+/g, '…'));
    const took = performance.now() - began;
    slowestMs = Math.max(slowestMs, took);
    if (took > MOST_MS) throw new FuzzFailure(input, `took ${took.toFixed(0)} ms`);
    if (index % 1000 === 0) {
      grownBytes = Math.max(grownBytes, process.memoryUsage.rss() - before);
      if (grownBytes > MOST_GROWN_BYTES) throw new FuzzFailure(input, `memory grew by ${grownBytes} bytes, at this input or shortly before`);
    }
    if (index % PROGRESS_EVERY === PROGRESS_EVERY - 1) onProgress?.(report(index + 1));
  }
  return report(count);
}

/** What the reader says against it; undefined when it was read. */
async function tried(input: Buffer): Promise<string | undefined> {
  try {
    const state = await readWeightsFile(input);
    let bytes = 0;
    for (const [name, { dtype, shape, data }] of state) {
      bytes += data.byteLength;
      const elements = shape.reduce((product, size) => product * size, 1);
      if (data.length !== elements || data.byteLength !== elements * ELEMENT_BYTES[dtype]) throw new FuzzFailure(input, `${JSON.stringify(name)} has ${data.length} values for ${shape.join(' × ')}`);
    }
    if (bytes > 2 * input.length) throw new FuzzFailure(input, `${bytes} bytes of tensors came out of ${input.length}`);
    return undefined;
  } catch (error) {
    if (error instanceof FuzzFailure) throw error;
    if (error instanceof ThawError && error.code === 'bad-checkpoint' && !/[\u0000-\u001f\u007f-\u009f]/.test(error.message)) return error.message;
    throw new FuzzFailure(input, error instanceof ThawError ? `refused by the code ${error.code}, or with control characters: ${JSON.stringify(error.message)}` : `no ThawError: ${String(error)}`, error);
  }
}

function pick<T>(items: readonly T[], random: SeededRandom): T {
  const item = items[random.integer(items.length)];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}

/** One to eight changes, one upon the other. */
function mutated(original: Buffer, others: readonly Buffer[], random: SeededRandom): Buffer {
  let bytes: Buffer = Buffer.from(original);
  for (let changes = 1 + random.integer(random.integer(2) === 0 ? 2 : 8); changes > 0; changes--) bytes = changed(bytes, others, random);
  return bytes;
}

function changed(bytes: Buffer, others: readonly Buffer[], random: SeededRandom): Buffer {
  if (bytes.length === 0) return Buffer.from(pick(others, random));
  const at = random.integer(bytes.length);
  const length = 1 + random.integer(Math.min(bytes.length - at, 1 << random.integer(10)));
  switch (random.integer(11)) {
    case 0: // a bit
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << random.integer(8)), at);
      return bytes;
    case 1: // a byte
      bytes.writeUInt8(random.integer(256), at);
      return bytes;
    case 2: { // a number at its limits, of any width
      const width = 1 << random.integer(4);
      const value = Buffer.alloc(8);
      value.writeBigUInt64LE(pick(EDGES, random));
      value.copy(bytes, at, 0, width);
      return bytes;
    }
    case 3: // cut off
      return bytes.subarray(0, random.integer(4) === 0 ? at : bytes.length - 1 - random.integer(Math.min(64, bytes.length)));
    case 4: // a piece gone
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    case 5: // a piece twice
      return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
    case 6: { // something that means something, in place or between
      const piece = pick(PIECES, random);
      return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(random.integer(2) === 0 ? at : Math.min(bytes.length, at + piece.length))]);
    }
    case 7: { // a piece of another file
      const other = pick(others, random);
      const from = random.integer(other.length);
      return Buffer.concat([bytes.subarray(0, at), other.subarray(from, from + length), bytes.subarray(at + length)]);
    }
    case 8: // a run of one byte
      bytes.fill(random.integer(256), at, at + Math.min(length, 64));
      return bytes;
    case 9: { // a decimal number, as safetensors have them
      const text = bytes.toString('latin1');
      const numbers = [...text.matchAll(/\d+/g)];
      const found = numbers[random.integer(Math.max(1, numbers.length))];
      if (found === undefined) return bytes;
      const value = Buffer.from(String(random.integer(3) === 0 ? pick(EDGES, random) : random.integer(1000)));
      return Buffer.concat([bytes.subarray(0, found.index), value, bytes.subarray(found.index + found[0].length)]);
    }
    default: { // two pieces exchanged
      const to = random.integer(bytes.length);
      const size = Math.min(length, bytes.length - Math.max(at, to));
      const first = Buffer.from(bytes.subarray(at, at + size));
      bytes.copy(bytes, at, to, to + size);
      first.copy(bytes, to);
      return bytes;
    }
  }
}
