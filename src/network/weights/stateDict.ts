// Tensors by name, as files hold them: PyTorch's names and layouts, plain typed arrays, no engine.

/** Element types of tensors in files, by PyTorch's names. Half precisions have no array type here and are refused by name. */
export interface TensorData {
  readonly float32: Float32Array;
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
  float32: 4, float64: 8, int64: 8, int32: 4, int16: 2, int8: 1, uint8: 1, bool: 1,
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
    case 'float64': return { dtype, shape, data: new Float64Array(bytes) };
    case 'int64': return { dtype, shape, data: new BigInt64Array(bytes) };
    case 'int32': return { dtype, shape, data: new Int32Array(bytes) };
    case 'int16': return { dtype, shape, data: new Int16Array(bytes) };
    case 'int8': return { dtype, shape, data: new Int8Array(bytes) };
    case 'uint8': return { dtype, shape, data: new Uint8Array(bytes) };
    case 'bool': return { dtype, shape, data: new Uint8Array(bytes) };
  }
}
