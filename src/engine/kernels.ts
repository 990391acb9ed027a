// TensorFlow's fused training kernels, reached through tfjs-node's backend. What tfjs composes of many operations (batch norm over batch
// statistics, the gradients of batch norm, relu and relu6) is one kernel here: a training step is 1.5 to 2 times as fast.
// A convolution with bias and activation: fusedConvolution.ts. One alone is tfjs's own, whose gradients are TensorFlow's kernels already (1×1
// ones: gradients.ts). tfjs has those for padding `same` and `valid` only; explicit numbers throw in the backward pass, so torch's padding is
// `tf.pad` and then `valid`.
import type { Scalar, Tensor, Tensor1D, Tensor4D, TensorInfo } from '@tensorflow/tfjs';
import type { FusedConvolution } from './fusedConvolution.js';
import type { MaxPool } from './maxPool.js';
import type { MomentumStep } from './momentum.js';

type Tensorflow = typeof import('@tensorflow/tfjs');

/** An attribute of a TensorFlow operation, as the addon takes it. */
export interface OperationAttribute {
  name: string;
  type: number;
  value: boolean | number | string | number[] | string[];
}

/** The part of tfjs-node's backend that runs an operation by its name. */
export interface OperationBackend {
  readonly binding: Readonly<Record<'TF_ATTR_TYPE' | 'TF_ATTR_FLOAT' | 'TF_ATTR_INT' | 'TF_ATTR_STRING' | 'TF_ATTR_BOOL' | 'TF_FLOAT', number>>;
  executeSingleOutput(name: string, attributes: OperationAttribute[], inputs: TensorInfo[]): Tensor;
  executeMultipleOutputs(name: string, attributes: OperationAttribute[], inputs: TensorInfo[], outputs: number): Tensor[];
}

/** All of float32 and channels last. Each can be differentiated once. */
export interface Kernels {
  /**
   * Batch norm over the batch's own statistics (Ioffe and Szegedy 2015, algorithm 1), y = scale (x − mean) / √(variance + epsilon) + offset,
   * normalised by the biased variance. Gradients for x, scale and offset.
   * @param x [batch, height, width, channels]
   * @param scale γ, [channels]
   * @param offset β, [channels]
   * @param epsilon added to the variance
   * @param onStatistics called at once, in the forward pass, with the batch's mean and its Bessel-corrected variance (what running statistics
   *   are made of), each [channels]. Both are kept: the callee disposes of them.
   * @returns [batch, height, width, channels]
   */
  batchNormTraining(
    x: Tensor4D, scale: Tensor1D, offset: Tensor1D, epsilon: number, onStatistics?: (mean: Tensor1D, variance: Tensor1D) => void,
  ): Tensor4D;
  /** max(x, 0), of any shape; the gradient at 0 is 0, as PyTorch's. */
  relu<T extends Tensor>(x: T): T;
  /** min(max(x, 0), 6), of any shape; the gradient at 0 and at 6 is 0, as PyTorch's. */
  relu6<T extends Tensor>(x: T): T;
  /** Sum over all axes but the last, `[…, channels]` → `[channels]`: in half the time of `tf.sum`. No gradient. */
  sumToChannels(x: Tensor): Tensor1D;
  /** Half the sum of all squares, of any shape, in one pass. No gradient. */
  halfSquaredNorm(x: Tensor): Scalar;
  readonly convolution: FusedConvolution;
  readonly maxPool: MaxPool;
  /** On a CPU. */
  readonly momentumStep?: MomentumStep;
}

/** The kernels over a tfjs whose backend is TensorFlow's. */
export function createKernels(tf: Tensorflow, backend: OperationBackend): Omit<Kernels, 'convolution' | 'maxPool' | 'momentumStep'> {
  const { binding } = backend;
  const floatType = (name: string): OperationAttribute => ({ name, type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT });
  const batchNormAttributes = (epsilon: number): OperationAttribute[] => [
    floatType('T'),
    floatType('U'),
    { name: 'epsilon', type: binding.TF_ATTR_FLOAT, value: epsilon },
    { name: 'data_format', type: binding.TF_ATTR_STRING, value: 'NHWC' },
    { name: 'is_training', type: binding.TF_ATTR_BOOL, value: true },
  ];

  const activation = (operation: 'Relu' | 'Relu6') => <T extends Tensor>(x: T): T => tf.customGrad<T>((...args) => {
    const [input, save] = args as [T, (tensors: Tensor[]) => void];
    const y = backend.executeSingleOutput(operation, [floatType('T')], [input]) as T;
    save([y]);
    return {
      value: y,
      gradFunc: (dy, saved) => backend.executeSingleOutput(`${operation}Grad`, [floatType('T')], [dy, taken(saved, 0)]),
    };
  })(x);

  return {
    batchNormTraining: (x, scale, offset, epsilon, onStatistics) => tf.customGrad<Tensor4D>((...args) => {
      const [input, gamma, beta, save] = args as [Tensor, Tensor, Tensor, (tensors: Tensor[]) => void];
      const attributes = batchNormAttributes(epsilon);
      const none = tf.tensor1d([]);
      const outputs = backend.executeMultipleOutputs('FusedBatchNormV3', attributes, [input, gamma, beta, none, none], 6);
      save([input, gamma, ...outputs.slice(3)]);
      onStatistics?.(tf.keep(taken(outputs, 1) as Tensor1D), tf.keep(taken(outputs, 2) as Tensor1D));
      return {
        value: taken(outputs, 0) as Tensor4D,
        gradFunc: (dy, saved) => {
          const gradients = backend.executeMultipleOutputs('FusedBatchNormGradV3', attributes, [dy, ...saved], 5);
          for (const unused of gradients.slice(3)) unused.dispose();
          return gradients.slice(0, 3);
        },
      };
    })(x, scale, offset),

    relu: activation('Relu'),
    relu6: activation('Relu6'),
    sumToChannels: (x) => sumToChannels(backend, x),
    halfSquaredNorm: (x) => backend.executeSingleOutput('L2Loss', [floatType('T')], [x]) as Scalar,
  };
}

/** See Kernels. */
export function sumToChannels(backend: OperationBackend, x: Tensor): Tensor1D {
  const { binding } = backend;
  return backend.executeSingleOutput('BiasAddGrad', [
    { name: 'T', type: binding.TF_ATTR_TYPE, value: binding.TF_FLOAT }, { name: 'data_format', type: binding.TF_ATTR_STRING, value: 'NHWC' },
  ], [x]) as Tensor1D;
}

function taken(tensors: readonly Tensor[], index: number): Tensor {
  const tensor = tensors[index];
  if (tensor === undefined) throw new Error(`A TensorFlow kernel gave ${tensors.length} tensors where number ${index + 1} was expected`);
  return tensor;
}
