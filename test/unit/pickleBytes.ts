// A little assembler for pickles of protocol 2.
export const op = (...codes: number[]): Buffer => Buffer.from(codes);
export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
export const i64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return bytes;
};
export const join = (...parts: (Buffer | string)[]): Buffer => Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)));
export const text = (value: string): Buffer => join('X', u32(Buffer.byteLength(value)), Buffer.from(value));
export const number = (value: number): Buffer => {
  const bytes = Buffer.alloc(5);
  bytes.write('J', 'latin1');
  bytes.writeInt32LE(value, 1);
  return bytes;
};
export const tuple = (...items: Buffer[]): Buffer => join('(', ...items, 't');
export const global = (module: string, name: string): Buffer => Buffer.from(`c${module}\n${name}\n`, 'latin1');
export const PROTO = op(0x80, 2);
export const pickled = (...parts: (Buffer | string)[]): Buffer => join(PROTO, ...parts, '.');
export const HEADER = join(
  pickled(op(0x8a, 10), Buffer.from('6cfc9c46f9206aa85019', 'hex')),
  pickled('M', op(0xe9, 0x03)),
  pickled('}(', text('little_endian'), op(0x88), 'u'),
);
export const storage = (key: string, count: Buffer, type = 'FloatStorage'): Buffer => join(tuple(text('storage'), global('torch', type), text(key), text('cpu'), count, Buffer.from('N')), 'Q');
export const tensor = (storageValue: Buffer, offset: Buffer, shape: Buffer, strides: Buffer): Buffer =>
  join(global('torch._utils', '_rebuild_tensor_v2'), tuple(storageValue, offset, shape, strides, op(0x89), join('}')), 'R');
