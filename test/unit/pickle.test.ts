import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { readLegacyLayout } from '../../src/network/weights/pytorchFile.js';
import { readSafetensors } from '../../src/network/weights/safetensors.js';
import { ThawError } from '../../src/protocol/errors.js';
import { SeededRandom } from '../../src/training/random.js';
import { global, HEADER, i64, join, number, op, pickled, PROTO, storage, tensor, text, tuple, u32 } from './pickleBytes.js';

const golden = path.join(process.cwd(), 'test', 'numeric', 'golden');
const legacy = readFileSync(path.join(golden, 'legacy.pth'));

function refusal(bytes: Uint8Array, message: RegExp): void {
  assert.throws(() => readLegacyLayout(bytes), (error) => error instanceof ThawError && error.code === 'bad-checkpoint' && message.test(error.message));
}

/** A checkpoint of one float tensor `w` of two numbers, any part of which may be replaced. */
function checkpoint(change: { count?: Buffer; offset?: Buffer; shape?: Buffer; strides?: Buffer; type?: string; root?: Buffer; keys?: Buffer; data?: Buffer } = {}): Buffer {
  const value = tensor(storage('0', change.count ?? number(2), change.type), change.offset ?? number(0), change.shape ?? tuple(number(2)), change.strides ?? tuple(number(1)));
  return join(
    HEADER,
    change.root ?? pickled('}', text('w'), value, 's'),
    change.keys ?? pickled('](', text('0'), 'e'),
    change.data ?? join(i64(2n), Buffer.from(new Float32Array([1.5, -2]).buffer)),
  );
}

void test('reads what PyTorch wrote: types, views, strides, shared storages', () => {
  const state = readLegacyLayout(legacy);
  const { state: expected } = readSafetensors(readFileSync(path.join(golden, 'legacy.safetensors')));
  assert.equal(state.size, 13);
  for (const [name, tensorRead] of state) {
    const wanted = expected.get(name);
    assert.deepEqual(tensorRead, wanted, name);
  }
});

void test('reads a checkpoint assembled by hand', () => {
  const read = readLegacyLayout(checkpoint()).get('w');
  assert.deepEqual([read?.dtype, read?.shape, read?.dtype === 'float32' ? [...read.data] : []], ['float32', [2], [1.5, -2]]);
});

void test('refuses every name but tensors, by whatever instruction it is called', () => {
  const call = (...parts: (Buffer | string)[]): Buffer => checkpoint({ root: pickled(...parts) });
  for (const [module, name] of [['os', 'system'], ['posix', 'system'], ['builtins', 'eval'], ['__builtin__', 'exec'], ['subprocess', 'Popen'], ['torch', 'load'],
    ['torch._utils', '_rebuild_tensor_v3'], ['torch._utils', '_rebuild_parameter_with_state'], ['torch.storage', 'UntypedStorage'], ['collections', 'defaultdict'], ['', ''],
    ['collections', 'OrderedDict.__class__'], ['constructor', 'constructor'], ['__proto__', 'toString']] as const) {
    refusal(call(global(module, name), tuple(text('touch ran')), 'R'), /which is no tensor/);
  }
  // STACK_GLOBAL, INST, OBJ, NEWOBJ, NEWOBJ_EX, EXT1, PERSID, and instructions of protocols 3 to 5.
  for (const code of [0x93, 0x69, 0x6f, 0x81, 0x92, 0x82, 0x50, 0x95, 0x8c, 0x94, 0x42, 0x8f, 0x30, 0x32, 0x49]) {
    refusal(call(text('os'), text('system'), op(code, 1, 0x0a, 0x0a)), /an instruction that no state dict needs/);
  }
  refusal(call(op(0x80, 4), 'N'), /protocol is newer/);
  refusal(call(global('torch', 'FloatStorage'), tuple(), 'R'), /calls something that makes no tensor/);
  refusal(call(global('collections', 'OrderedDict'), tuple(join(']')), 'R'), /calls something that makes no tensor/);
  refusal(call(text('w'), tuple(), 'R'), /calls something that makes no tensor/);
  refusal(call(global('torch._utils', '_rebuild_tensor_v2'), '}', 'b'), /sets attributes of something other/);
});

void test('keeps control characters of a name out of its message', () => {
  assert.throws(() => readLegacyLayout(checkpoint({ root: pickled(global('os\u001b[2J', 'x')) })), (error) => error instanceof ThawError && !error.message.includes('\u001b'));
});

void test('refuses tensors that do not fit their storage, and storages that do not fit the file', () => {
  refusal(checkpoint({ offset: number(-1) }), /tensor that makes no sense/);
  refusal(checkpoint({ shape: tuple(number(-2)) }), /tensor that makes no sense/);
  refusal(checkpoint({ strides: tuple(number(-1)) }), /tensor that makes no sense/);
  refusal(checkpoint({ strides: tuple() }), /tensor that makes no sense/);
  refusal(checkpoint({ shape: tuple(...Array.from({ length: 20 }, () => number(1))), strides: tuple(...Array.from({ length: 20 }, () => number(1))) }), /tensor that makes no sense/);
  refusal(checkpoint({ offset: number(1) }), /reaches beyond its storage/);
  refusal(checkpoint({ strides: tuple(number(2)) }), /reaches beyond its storage/);
  refusal(checkpoint({ shape: tuple(number(3)) }), /larger than its storage/);
  refusal(checkpoint({ shape: tuple(number(1_000_000)), strides: tuple(number(0)) }), /larger than its storage/);
  const huge = tuple(...Array.from({ length: 8 }, () => number(2_000_000_000)));
  refusal(checkpoint({ shape: huge, strides: huge }), /larger than any file/);
  refusal(checkpoint({ count: number(1_000_000) }), /larger than the file/);
  refusal(checkpoint({ count: number(-1) }), /storage that makes no sense/);
  refusal(checkpoint({ count: join(op(0x8a, 9), op(0, 0, 0, 0, 0, 0, 0, 0, 1)) }), /storage that makes no sense/);
  refusal(checkpoint({ count: join(op(0x8a, 255), Buffer.alloc(255, 1)) }), /longer than any size/);
  refusal(checkpoint({ type: 'DoubleStorage' }), /cut off/);
  refusal(checkpoint({ data: join(i64(-2n), Buffer.alloc(8)) }), /contradicts itself/);
  refusal(checkpoint({ data: join(i64(3n), Buffer.alloc(12)) }), /contradicts itself/);
  refusal(checkpoint({ data: join(i64(2n), Buffer.alloc(12)) }), /something follows/);
  refusal(checkpoint({ keys: pickled(']') }), /something follows|are missing/);
  refusal(checkpoint({ keys: pickled('](', text('0'), text('0'), 'e') }), /does not fit its tensors/);
  refusal(checkpoint({ keys: pickled('](', text('other'), 'e') }), /does not fit its tensors/);
  const without = { keys: pickled(']'), data: Buffer.alloc(0) };
  refusal(checkpoint({ root: pickled('}', text('w'), number(3), 's'), ...without }), /other than named tensors/);
  refusal(checkpoint({ root: pickled('}', number(3), number(3), 's'), ...without }), /other than named tensors/);
  refusal(checkpoint({ root: pickled(']'), ...without }), /no dictionary/);
});

void test('many tensors over one storage are no way to memory', () => {
  const floats = 4096;
  const one = join(tensor(storage('0', number(floats)), number(0), tuple(number(floats)), tuple(number(1))), op(0x71, 9));
  const bomb = join(
    HEADER,
    pickled('}(', text('0'), one, ...Array.from({ length: 100 }, (_, index) => join(text(String(index + 1)), op(0x68, 9))), 'u'),
    pickled('](', text('0'), 'e'),
    i64(BigInt(floats)),
    Buffer.alloc(4 * floats),
  );
  refusal(bomb, /larger than its data/);
});

void test('bounds instructions, stack, memory and names', () => {
  refusal(join(PROTO, ']', Buffer.alloc(2_100_000, '(e')), /more instructions/);
  refusal(join(PROTO, Buffer.alloc(1_100_000, 'N')), /more values/);
  refusal(join(PROTO, Buffer.alloc(1_100_000, '(')), /more values/);
  refusal(join(PROTO, 'X', u32(0xffff_fff0), 'short'), /longer than any tensor/);
  refusal(join(PROTO, 'c', Buffer.alloc(100_000, 'a')), /longer than any tensor/);
  refusal(join(PROTO, op(0x6a), u32(0xffff_ffff), '.'), /never stored/);
  // Each list holds the one before twice: 2^60 elements, if anybody unfolded them.
  const doubling = Array.from({ length: 60 }, (_, index) => join('](', op(0x68, index), op(0x68, index), 'e', op(0x71, index + 1)));
  refusal(join(PROTO, ']', op(0x71, 0), ...doubling, '.'), /leaves values behind/);
});

void test('refuses other files by what they are', () => {
  refusal(Buffer.alloc(0), /cut off/);
  refusal(pickled('N'), /does not begin like/);
  refusal(Buffer.from('\u0089PNG\r\n', 'latin1'), /an instruction/);
  refusal(join(HEADER.subarray(0, 15), pickled(number(1002))), /protocol is not 1001/);
});

void test('refuses a file cut off anywhere', () => {
  const whole = checkpoint();
  for (let length = 0; length < whole.length; length++) refusal(whole.subarray(0, length), /./);
});

void test('a damaged file is read or refused, and never costs more memory than twice its size', () => {
  const random = new SeededRandom(7, 'damage');
  let read = 0;
  const sources = [legacy, checkpoint()];
  for (let round = 0; round < 6000; round++) {
    const bytes = Buffer.from(sources[round % 2] ?? legacy);
    const damage = 1 + random.integer(4);
    for (let index = 0; index < damage; index++) bytes[random.integer(bytes.length)] = random.integer(256);
    try {
      const state = readLegacyLayout(bytes);
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
