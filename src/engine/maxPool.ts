// Max pooling. TensorFlow's own gradient on a CPU looks for each maximum anew, one image after another: in ResNet18 it takes as long as four of the
// convolutions. oneDNN's forward pass leaves behind where the maxima were, and its gradient is 15 times as fast.
import type { Tensor, Tensor4D } from '@tensorflow/tfjs';
import { oneDnnLabel, oneDnnName } from './oneDnn.js';
import type { OperationAttribute, OperationBackend } from './kernels.js';

type Tensorflow = typeof import('@tensorflow/tfjs');

/**
 * The largest value of each window, windows inside the image only; can be differentiated once, the gradient goes to the first of equal values,
 * as PyTorch's.
 * @param x [batch, height, width, channels]
 * @returns [batch, ⌊(height − kernel) / stride⌋ + 1, ⌊(width − kernel) / stride⌋ + 1, channels]
 */
export type MaxPool = (x: Tensor4D, kernel: number, stride: number) => Tensor4D;

/** @param useOneDnn whether oneDNN's kernels are there and the device is a CPU; else the pooling is tfjs's own */
export function createMaxPool(tf: Tensorflow, backend: OperationBackend, useOneDnn: boolean): MaxPool {
  const { binding } = backend;
  const attributes = (kernel: number, stride: number): OperationAttribute[] => [
    { name: 'T', type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT },
    { name: 'ksize', type: binding.TF_ATTR_INT, value: [1, kernel, kernel, 1] },
    { name: 'strides', type: binding.TF_ATTR_INT, value: [1, stride, stride, 1] },
    { name: 'padding', type: binding.TF_ATTR_STRING, value: 'VALID' },
    { name: 'data_format', type: binding.TF_ATTR_STRING, value: 'NHWC' },
    { name: 'workspace_enabled', type: binding.TF_ATTR_BOOL, value: true },
    oneDnnLabel(backend),
  ];
  const pool: MaxPool = (x, kernel, stride) => tf.customGrad<Tensor4D>((...args) => {
    const [input, save] = args as [Tensor, (tensors: Tensor[]) => void];
    // The second output says where the maxima are, in oneDNN's own bytes: for the gradient, and for nobody to read.
    const [y, places] = backend.executeMultipleOutputs(oneDnnName('MaxPool'), attributes(kernel, stride), [input], 2);
    if (y === undefined || places === undefined) throw new Error('max pooling without a result');
    save([input, y, places]);
    return {
      value: y as Tensor4D,
      gradFunc: (dy, saved) => {
        const [before, after, workspace] = saved as [Tensor, Tensor, Tensor];
        return backend.executeSingleOutput(oneDnnName('MaxPoolGrad'), attributes(kernel, stride), [before, after, dy, workspace]);
      },
    };
  })(x);

  const plain: MaxPool = (x, kernel, stride) => tf.maxPool(x, kernel, stride, 'valid');
  if (!useOneDnn) return plain;
  try {
    tf.tidy(() => tf.grad((x) => pool(x as Tensor4D, 2, 1))(tf.ones([1, 2, 2, 1])));
    return pool;
  } catch {
    return plain; // a TensorFlow that somebody else provided may know another form of it
  }
}
