// TensorFlow's configuration, as far as Thaw sets it: a serialized ConfigProto (tensorflow/core/protobuf/config.proto), which the addon passes on.

/** The variable that the addon reads when it makes TensorFlow's context. */
export const CONFIG_VARIABLE = 'THAW_TENSORFLOW_CONFIG';

/** Wire types of protocol buffers: a field's key is its number × 8 + this. */
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;

/**
 * A cap on the GPU's memory that TensorFlow takes: `gpu_options { per_process_gpu_memory_fraction, allow_growth: true }`, in hexadecimal digits.
 * @param fraction of the whole GPU, above 0 to 1
 */
export function memoryCapConfig(fraction: number): string {
  const value = Buffer.alloc(8);
  value.writeDoubleLE(fraction);
  const gpuOptions = Buffer.concat([Buffer.from([1 * 8 + FIXED64]), value, Buffer.from([4 * 8 + VARINT, 1])]);
  return Buffer.concat([Buffer.from([6 * 8 + BYTES, gpuOptions.length]), gpuOptions]).toString('hex');
}
