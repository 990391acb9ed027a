// Our own checkpoints: safetensors, which is a JSON header (names, types, shapes, offsets) and plain numbers (format: huggingface/safetensors).
// Any framework reads it, and there is nothing in it to execute.
import * as v from 'valibot';
import { ThawError } from '../../protocol/errors.js';
import { ELEMENT_BYTES, quoted, storedTensor, type ElementType, type StateDict } from './stateDict.js';

const TYPES = { F32: 'float32', F16: 'float16', BF16: 'bfloat16', F64: 'float64', I64: 'int64', I32: 'int32', I16: 'int16', I8: 'int8', U8: 'uint8', BOOL: 'bool' } as const satisfies Record<string, ElementType>;
const NAMES = new Map(Object.entries(TYPES).map(([name, type]) => [type, name]));

const HEADER_LIMIT = 16 * 1024 * 1024;
const METADATA = '__metadata__';

const size = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const entrySchema = v.strictObject({
  dtype: v.picklist(Object.keys(TYPES) as (keyof typeof TYPES)[]),
  shape: v.pipe(v.array(size), v.maxLength(16)),
  data_offsets: v.tuple([size, size]),
});
const metadataSchema = v.record(v.string(), v.string());

export interface Safetensors {
  readonly state: StateDict;
  /** What else the file says about itself. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** The bytes of a safetensors file, tensors in the state dict's order. Write them with `writeFileAtomic`. */
export function writeSafetensors(state: StateDict, metadata: Readonly<Record<string, string>> = {}): Buffer {
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header[METADATA] = metadata;
  let end = 0;
  for (const [name, tensor] of state) {
    const start = end;
    end += tensor.data.byteLength;
    // An own property even for a name like `__proto__`.
    Object.defineProperty(header, name, {
      value: { dtype: NAMES.get(tensor.dtype), shape: tensor.shape, data_offsets: [start, end] }, enumerable: true,
    });
  }
  const text = Buffer.from(JSON.stringify(header));
  // Spaces up to a multiple of 8, so that the numbers are aligned when the file is mapped into memory.
  const headerBytes = Math.ceil(text.length / 8) * 8;
  const bytes = Buffer.alloc(8 + headerBytes + end, ' ');
  bytes.writeBigUInt64LE(BigInt(headerBytes));
  text.copy(bytes, 8);
  let at = 8 + headerBytes;
  for (const { data } of state.values()) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

/**
 * Reads the bytes of a safetensors file. As the format demands, tensors must cover the data without hole or overlap.
 * @throws ThawError `bad-checkpoint` for a file that is cut off, damaged, or holds a type unknown here
 */
export function readSafetensors(bytes: Uint8Array): Safetensors {
  if (bytes.length < 8) throw refused('it is cut off');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const announced = view.getBigUint64(0, true);
  if (announced > BigInt(HEADER_LIMIT)) throw refused('its header is larger than any network needs');
  const start = 8 + Number(announced);
  if (start > bytes.length) throw refused('it is cut off');

  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, start)));
  } catch (error) {
    throw refused('its header is not JSON', error);
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) throw refused('its header is no object');

  let metadata: Record<string, string> = {};
  const tensors: { name: string; entry: v.InferOutput<typeof entrySchema> }[] = [];
  for (const [name, value] of Object.entries(header) as [string, unknown][]) {
    if (name === METADATA) {
      const parsed = v.safeParse(metadataSchema, value);
      if (!parsed.success) throw refused('its metadata are not plain text');
      metadata = parsed.output;
      continue;
    }
    const parsed = v.safeParse(entrySchema, value);
    if (!parsed.success) throw refused(`the entry of ${quoted(name)} makes no sense`);
    tensors.push({ name, entry: parsed.output });
  }

  const state: StateDict = new Map();
  let covered = 0;
  for (const { name, entry } of tensors.sort((a, b) => a.entry.data_offsets[0] - b.entry.data_offsets[0] || a.entry.data_offsets[1] - b.entry.data_offsets[1])) {
    const [from, to] = entry.data_offsets;
    const dtype = TYPES[entry.dtype];
    const length = entry.shape.reduce((product, count) => product * count, ELEMENT_BYTES[dtype]);
    if (from !== covered || to - from !== length) throw refused(`the place of ${quoted(name)} contradicts its shape or its neighbours`);
    covered = to;
    if (start + to > bytes.length) throw refused('it is cut off');
    state.set(name, storedTensor(dtype, entry.shape, Uint8Array.from(bytes.subarray(start + from, start + to)).buffer));
  }
  if (start + covered !== bytes.length) throw refused('something follows its data');
  return { state, metadata };
}

function refused(why: string, cause?: unknown): ThawError {
  return new ThawError('run', 'bad-checkpoint', `This is not a safetensors file that can be read: ${why}`, 'Use another file, or save this one again', { cause });
}
