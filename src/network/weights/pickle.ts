// The pickles inside PyTorch's checkpoints. A pickle is a program for a small stack machine that may call any function by name. This machine knows
// tensors, storages and ordered dictionaries, and refuses every other name, so a checkpoint can't run code; nothing is imported, looked up or
// called by a name from the file. Opcodes: CPython's Lib/pickletools.py.
import { ThawError } from '../../protocol/errors.js';
import { ELEMENT_BYTES, quoted, type ElementType } from './stateDict.js';

/** What a hostile file is held to. A backbone's checkpoint needs some ten thousand opcodes. */
const LIMITS = {
  opcodes: 2_000_000,
  /** Values on the stack, and values remembered. */
  values: 1_000_000,
  textBytes: 4096,
  longBytes: 16,
  dimensions: 16,
} as const;

const STORAGES: ReadonlyMap<string, ElementType> = new Map([
  ['torch.FloatStorage', 'float32'],
  ['torch.HalfStorage', 'float16'],
  ['torch.BFloat16Storage', 'bfloat16'],
  ['torch.DoubleStorage', 'float64'],
  ['torch.LongStorage', 'int64'],
  ['torch.IntStorage', 'int32'],
  ['torch.ShortStorage', 'int16'],
  ['torch.CharStorage', 'int8'],
  ['torch.ByteStorage', 'uint8'],
  ['torch.BoolStorage', 'bool'],
]);
const ORDERED_DICT = 'collections.OrderedDict';
const REBUILD_TENSOR = 'torch._utils._rebuild_tensor_v2';
const REBUILD_PARAMETER = 'torch._utils._rebuild_parameter';

/** A tensor's numbers, row-major, in a buffer of their own. `bytes` are its storage's; bounds were checked when the reference was made. */
export function gather(bytes: Uint8Array, tensor: TensorReference): ArrayBuffer {
  const size = ELEMENT_BYTES[tensor.storage.dtype];
  const start = tensor.offset * size;
  const target = new Uint8Array(tensor.elements * size);
  if (tensor.contiguous) {
    target.set(bytes.subarray(start, start + target.length));
    return target.buffer;
  }
  // The part of the storage that the tensor lies in, where whole elements can be read: its place in the file is any.
  const last = tensor.shape.reduce((sum, count, axis) => sum + (count - 1) * (tensor.strides[axis] ?? 0), 0);
  const source = tensor.elements === 0 ? new ArrayBuffer(0) : new Uint8Array(bytes.subarray(start, start + (last + 1) * size)).buffer;
  // Moved as bits, not as floats, which could change a NaN's; 8 bytes as two of 4, that is, one more axis.
  const wide = size === 8;
  const Words = size === 1 ? Uint8Array : size === 2 ? Uint16Array : Uint32Array;
  const [from, to] = [new Words(source), new Words(target.buffer)];
  const shape = wide ? [...tensor.shape, 2] : tensor.shape;
  const strides = wide ? [...tensor.strides.map((stride) => 2 * stride), 1] : tensor.strides;
  const rowLength = shape.at(-1) ?? 1;
  const rowStride = strides.at(-1) ?? 1;
  const index = shape.slice(0, -1).map(() => 0);
  let rowStart = 0;
  for (let at = 0; at < to.length;) {
    for (let column = 0, word = rowStart; column < rowLength; column++, word += rowStride) to[at++] = from[word] ?? 0;
    for (let axis = index.length - 1; axis >= 0; axis--) {
      const stride = strides[axis] ?? 0;
      const next = (index[axis] ?? 0) + 1;
      rowStart += stride;
      index[axis] = next;
      if (next < (shape[axis] ?? 0)) break;
      rowStart -= next * stride;
      index[axis] = 0;
    }
  }
  return target.buffer;
}

/** What a pickle is made of. */
export type Value = null | boolean | number | bigint | string | Global | Storage | TensorReference | Tuple | List | Dictionary;

class Tuple {
  constructor(readonly items: readonly Value[]) {}
}

export class List {
  readonly items: Value[] = [];
}

/** Python's dict and OrderedDict; keys are plain values. */
export class Dictionary {
  readonly entries = new Map<Value, Value>();
}

/** A name that this reader knows. */
class Global {
  constructor(readonly name: string) {}
}

export class Storage {
  constructor(readonly key: string, readonly dtype: ElementType, readonly elements: number) {}
}

/** Where a tensor lies in its storage, counted in elements. */
export class TensorReference {
  readonly elements: number;
  readonly contiguous: boolean;

  constructor(readonly storage: Storage, readonly offset: number, readonly shape: readonly number[], readonly strides: readonly number[]) {
    let expected = 1;
    let contiguous = true;
    let last = offset;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis] ?? 0;
      const stride = strides[axis] ?? 0;
      if (size > 1 && stride !== expected) contiguous = false;
      last += Math.max(0, size - 1) * stride;
      expected *= size;
      if (!Number.isSafeInteger(expected) || !Number.isSafeInteger(last)) throw refused('a tensor is larger than any file');
    }
    this.elements = expected;
    this.contiguous = contiguous;
    // Strides of 0 would make a large tensor of few numbers; no state dict has them.
    if (this.elements > storage.elements) throw refused('a tensor is larger than its storage');
    if (this.elements > 0 && last >= storage.elements) throw refused('a tensor reaches beyond its storage');
  }
}

/** Runs pickles. Time and memory are bounded by the file's length; what it refuses is a ThawError `bad-checkpoint`. */
export class PickleMachine {
  position = 0;
  /** Every storage named so far, by key. */
  readonly storages = new Map<string, Storage>();
  private readonly view: DataView;
  private opcodes = 0;
  private stack: Value[] = [];
  private marks: number[] = [];
  private memo = new Map<number, Value>();

  /** `bytes`: the pickles, one after the other. `fileBytes`: length of the whole file, which no storage exceeds. */
  constructor(private readonly bytes: Uint8Array, private readonly fileBytes: number) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Runs one pickle, up to its STOP, and returns what it leaves. */
  run(): Value {
    this.stack = [];
    this.marks = [];
    this.memo = new Map();
    for (;;) {
      if (++this.opcodes > LIMITS.opcodes) throw refused('it has more instructions than any state dict');
      if (this.stack.length > LIMITS.values || this.marks.length > LIMITS.values || this.memo.size > LIMITS.values) {
        throw refused('it remembers more values than any state dict');
      }
      const opcode = this.uint8();
      if (opcode === 0x2e) { // STOP
        const result = this.pop();
        if (this.stack.length > 0 || this.marks.length > 0) throw refused('one of its pickles leaves values behind');
        return result;
      }
      this.step(opcode);
    }
  }

  private step(opcode: number): void {
    switch (opcode) {
      case 0x80: // PROTO
        if (this.uint8() > 2) throw refused('its pickle protocol is newer than 2');
        return;
      case 0x28: // MARK
        this.marks.push(this.stack.length);
        return;
      case 0x4e: // NONE
        this.push(null);
        return;
      case 0x88: // NEWTRUE
        this.push(true);
        return;
      case 0x89: // NEWFALSE
        this.push(false);
        return;
      case 0x4b: // BININT1
        this.push(this.uint8());
        return;
      case 0x4d: // BININT2
        this.push(this.view.getUint16(this.take(2), true));
        return;
      case 0x4a: // BININT
        this.push(this.view.getInt32(this.take(4), true));
        return;
      case 0x8a: // LONG1
        this.push(this.long());
        return;
      case 0x47: // BINFLOAT
        this.push(this.view.getFloat64(this.take(8), false));
        return;
      case 0x58: // BINUNICODE
        this.push(this.text(this.view.getUint32(this.take(4), true)));
        return;
      case 0x29: // EMPTY_TUPLE
        this.push(new Tuple([]));
        return;
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: { // TUPLE3
        const items: Value[] = [];
        for (let count = opcode - 0x84; count > 0; count--) items.unshift(this.pop());
        this.push(new Tuple(items));
        return;
      }
      case 0x74: // TUPLE
        this.push(new Tuple(this.popToMark()));
        return;
      case 0x5d: // EMPTY_LIST
        this.push(new List());
        return;
      case 0x61: { // APPEND
        const item = this.pop();
        this.topList().items.push(item);
        return;
      }
      case 0x65: { // APPENDS
        const items = this.popToMark();
        const list = this.topList();
        for (const item of items) list.items.push(item);
        return;
      }
      case 0x7d: // EMPTY_DICT
        this.push(new Dictionary());
        return;
      case 0x73: { // SETITEM
        const item = this.pop();
        const key = this.pop();
        setItems(this.topDictionary(), [key, item]);
        return;
      }
      case 0x75: { // SETITEMS
        const items = this.popToMark();
        setItems(this.topDictionary(), items);
        return;
      }
      case 0x71: // BINPUT
        this.memo.set(this.uint8(), this.top());
        return;
      case 0x72: // LONG_BINPUT
        this.memo.set(this.view.getUint32(this.take(4), true), this.top());
        return;
      case 0x68: // BINGET
        this.push(this.remembered(this.uint8()));
        return;
      case 0x6a: // LONG_BINGET
        this.push(this.remembered(this.view.getUint32(this.take(4), true)));
        return;
      case 0x63: // GLOBAL
        this.push(this.global());
        return;
      case 0x52: { // REDUCE
        const argument = this.pop();
        this.push(reduce(this.pop(), argument));
        return;
      }
      case 0x51: // BINPERSID
        this.push(this.storage(this.pop()));
        return;
      case 0x62: { // BUILD: an ordered dictionary's attributes, which are PyTorch's `_metadata`; nothing here needs them
        const attributes = this.pop();
        if (!(this.top() instanceof Dictionary) || !(attributes instanceof Dictionary)) throw refused('it sets attributes of something other than a dictionary');
        return;
      }
      default:
        throw refused(`it holds an instruction that no state dict needs (0x${opcode.toString(16).padStart(2, '0')})`);
    }
  }

  private take(count: number): number {
    const at = this.position;
    if (count > this.bytes.length - at) throw cutOff();
    this.position = at + count;
    return at;
  }

  private uint8(): number {
    return this.view.getUint8(this.take(1));
  }

  private long(): number | bigint {
    const count = this.uint8();
    if (count > LIMITS.longBytes) throw refused('it holds a number longer than any size');
    const at = this.take(count);
    let value = 0n;
    for (let index = count - 1; index >= 0; index--) value = (value << 8n) | BigInt(this.bytes[at + index] ?? 0);
    value = BigInt.asIntN(8 * count, value);
    const small = Number(value);
    return Number.isSafeInteger(small) ? small : value;
  }

  private text(length: number): string {
    if (length > LIMITS.textBytes) throw refused('it holds a name longer than any tensor has');
    const at = this.take(length);
    return new TextDecoder().decode(this.bytes.subarray(at, at + length));
  }

  private global(): Global {
    const name = `${this.line()}.${this.line()}`;
    if (name !== ORDERED_DICT && name !== REBUILD_TENSOR && name !== REBUILD_PARAMETER && !STORAGES.has(name)) {
      throw refused(`it names ${quoted(name)}, which is no tensor; loading such a file elsewhere could run code`);
    }
    return new Global(name);
  }

  private line(): string {
    const start = this.position;
    const end = this.bytes.subarray(start, start + LIMITS.textBytes).indexOf(0x0a);
    if (end < 0) throw this.bytes.length - start < LIMITS.textBytes ? cutOff() : refused('it holds a name longer than any tensor has');
    this.position = start + end + 1;
    return new TextDecoder().decode(this.bytes.subarray(start, start + end));
  }

  /** A persistent id: ('storage', type, key, device, elements, view); the view is None in every file of this century. */
  private storage(id: Value): Storage {
    const [tag, type, key, , count, view = null] = id instanceof Tuple ? id.items : [];
    const dtype = type instanceof Global ? STORAGES.get(type.name) : undefined;
    const elements = sizeOf(count);
    if (tag !== 'storage' || dtype === undefined || typeof key !== 'string' || elements === undefined || view !== null) {
      throw refused('it holds a storage that makes no sense');
    }
    if (elements * ELEMENT_BYTES[dtype] > this.fileBytes) throw refused(`storage ${quoted(key)} is larger than the file`);
    const known = this.storages.get(key);
    if (known !== undefined) {
      if (known.dtype !== dtype || known.elements !== elements) throw refused(`storage ${quoted(key)} contradicts itself`);
      return known;
    }
    const storage = new Storage(key, dtype, elements);
    this.storages.set(key, storage);
    return storage;
  }

  private push(value: Value): void {
    this.stack.push(value);
  }

  private pop(): Value {
    const value = this.stack.length > (this.marks.at(-1) ?? 0) ? this.stack.pop() : undefined;
    if (value === undefined) throw refused('its stack runs empty');
    return value;
  }

  private top(): Value {
    const value = this.stack.length > (this.marks.at(-1) ?? 0) ? this.stack.at(-1) : undefined;
    if (value === undefined) throw refused('its stack runs empty');
    return value;
  }

  private popToMark(): Value[] {
    const mark = this.marks.pop();
    if (mark === undefined) throw refused('a mark is missing');
    return this.stack.splice(mark);
  }

  private topList(): List {
    const top = this.top();
    if (!(top instanceof List)) throw refused('it appends to something other than a list');
    return top;
  }

  private topDictionary(): Dictionary {
    const top = this.top();
    if (!(top instanceof Dictionary)) throw refused('it sets items of something other than a dictionary');
    return top;
  }

  private remembered(index: number): Value {
    const value = this.memo.get(index);
    if (value === undefined) throw refused('it recalls a value that it never stored');
    return value;
  }
}

function setItems(dictionary: Dictionary, items: readonly Value[]): void {
  if (items.length % 2 !== 0) throw refused('a key has no value');
  for (let index = 0; index < items.length; index += 2) {
    const key = items[index] ?? null;
    if (typeof key === 'object') throw refused('a key is no plain value');
    dictionary.entries.set(key, items[index + 1] ?? null);
  }
}

/** The calls that a state dict makes, done here. */
function reduce(callable: Value, argument: Value): Value {
  const items = argument instanceof Tuple ? argument.items : undefined;
  if (callable instanceof Global && items !== undefined) {
    if (callable.name === ORDERED_DICT && items.length === 0) return new Dictionary();
    // (storage, offset, shape, strides, requires_grad, backward_hooks); the last two say nothing about the numbers.
    if (callable.name === REBUILD_TENSOR && items.length >= 4 && items.length <= 7) {
      const [storage, start, shape, strides] = items;
      const offset = sizeOf(start);
      const sizes = sizesOf(shape);
      const steps = sizesOf(strides);
      if (storage instanceof Storage && offset !== undefined && sizes !== undefined && steps?.length === sizes.length) {
        return new TensorReference(storage, offset, sizes, steps);
      }
      throw refused('it holds a tensor that makes no sense');
    }
    // (tensor, requires_grad, backward_hooks): a module's parameter that was saved without its state dict is its tensor.
    if (callable.name === REBUILD_PARAMETER && items.length === 3 && items[0] instanceof TensorReference) return items[0];
  }
  throw refused('it calls something that makes no tensor');
}

function sizeOf(value: Value | undefined): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

function sizesOf(value: Value | undefined): readonly number[] | undefined {
  if (!(value instanceof Tuple) || value.items.length > LIMITS.dimensions) return undefined;
  const sizes = value.items.flatMap((item) => sizeOf(item) ?? []);
  return sizes.length === value.items.length ? sizes : undefined;
}

export function cutOff(): ThawError {
  return refused('it is cut off');
}

export function refused(why: string): ThawError {
  return new ThawError('run', 'bad-checkpoint', `This is not a PyTorch checkpoint that can be read: ${why}`, 'Fetch the file again, or use one that holds a plain state dict');
}
