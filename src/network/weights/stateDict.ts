// Tensors by name, as files hold them: PyTorch's names and layouts, plain typed arrays, no engine.
import { printable } from '../../protocol/printable.js';

/** Element types of tensors in files, by PyTorch's names. */
export interface TensorData {
  readonly float32: Float32Array;
  /** IEEE 754's binary16, as bits. */
  readonly float16: Uint16Array;
  /** The upper half of a float32, as bits. */
  readonly bfloat16: Uint16Array;
  readonly float64: Float64Array;
  readonly int64: BigInt64Array;
  readonly int32: Int32Array;
  readonly int16: Int16Array;
  readonly int8: Int8Array;
  readonly uint8: Uint8Array;
  /** 0 or 1. */
  readonly bool: Uint8Array;
}

export type ElementType = keyof TensorData;

export const ELEMENT_BYTES: Readonly<Record<ElementType, number>> = {
  float32: 4, float16: 2, bfloat16: 2, float64: 8, int64: 8, int32: 4, int16: 2, int8: 1, uint8: 1, bool: 1,
};

/** A tensor, row-major. */
export type StoredTensor = {
  readonly [Type in ElementType]: { readonly dtype: Type; readonly shape: readonly number[]; readonly data: TensorData[Type] };
}[ElementType];

export type StateDict = Map<string, StoredTensor>;

/** A tensor over bytes of its own: little-endian, row-major. `bytes` must start at offset 0 of its buffer and fill it. */
export function storedTensor(dtype: ElementType, shape: readonly number[], bytes: ArrayBuffer): StoredTensor {
  switch (dtype) {
    case 'float32': return { dtype, shape, data: new Float32Array(bytes) };
    case 'float16': return { dtype, shape, data: new Uint16Array(bytes) };
    case 'bfloat16': return { dtype, shape, data: new Uint16Array(bytes) };
    case 'float64': return { dtype, shape, data: new Float64Array(bytes) };
    case 'int64': return { dtype, shape, data: new BigInt64Array(bytes) };
    case 'int32': return { dtype, shape, data: new Int32Array(bytes) };
    case 'int16': return { dtype, shape, data: new Int16Array(bytes) };
    case 'int8': return { dtype, shape, data: new Int8Array(bytes) };
    case 'uint8': return { dtype, shape, data: new Uint8Array(bytes) };
    case 'bool': return { dtype, shape, data: new Uint8Array(bytes) };
  }
}

/** A tensor's values as float32: its own array where it holds such, exact for the half precisions, rounded to nearest for float64. Undefined for whole numbers. */
export function asFloat32(tensor: StoredTensor): Float32Array | undefined {
  switch (tensor.dtype) {
    case 'float32': return tensor.data;
    case 'float64': return Float32Array.from(tensor.data);
    case 'float16': return widened(tensor.data, widenedHalf);
    case 'bfloat16': return widened(tensor.data, (bits) => bits << 16);
    default: return undefined;
  }
}

/** As bits, not as numbers, so that no NaN changes its payload. */
function widened(data: Uint16Array, widen: (bits: number) => number): Float32Array {
  const bits = new Uint32Array(data.length);
  for (let index = 0; index < data.length; index++) bits[index] = widen(data[index] ?? 0);
  return new Float32Array(bits.buffer);
}

/** The bits of a float32 with the value of a binary16: 5 bits of exponent become 8, 10 of mantissa 23. */
function widenedHalf(bits: number): number {
  const sign = (bits & 0x8000) << 16;
  const exponent = (bits >> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (mantissa << 13); // infinity, or NaN with its payload
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (mantissa << 13);
  if (mantissa === 0) return sign;
  const shift = Math.clz32(mantissa) - 21; // subnormal there, normal here
  return sign | ((113 - shift) << 23) | (((mantissa << shift) & 0x3ff) << 13);
}

/** A name from a file for a message: short and without control characters. */
export function quoted(name: string): string {
  const plain = printable(name);
  return `"${plain.length > 80 ? `${plain.slice(0, 80)}…` : plain}"`;
}
