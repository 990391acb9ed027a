// A step of SGD with momentum in one pass over memory: Thaw's own TensorFlow operation, momentumKernel.cc, which the addon brings.
import type { Scalar, Tensor, Tensor1D } from '@tensorflow/tfjs';
import type { OperationBackend } from './kernels.js';

type Tensorflow = typeof import('@tensorflow/tfjs');

/**
 * v' = `coefficients[0]` · `factor` · g + `coefficients[1]` · p + `coefficients[2]` · v, and p' = p − v'.
 * @param parameter p, of any shape; `velocity` v and `gradient` g have the same
 * @param factor a scalar
 * @param coefficients [3]
 */
export type MomentumStep = (parameter: Tensor, velocity: Tensor, gradient: Tensor, factor: Scalar, coefficients: Tensor1D) => { readonly parameter: Tensor; readonly velocity: Tensor };

/**
 * The operation, which there is for the CPU only.
 * @param threads that one step is spread over
 * @returns undefined where this TensorFlow has refused it: that is tried once
 */
export function createMomentumStep(tf: Tensorflow, backend: OperationBackend, threads: number): MomentumStep | undefined {
  const attributes = [{ name: 'threads', type: backend.binding.TF_ATTR_INT, value: threads }];
  const step: MomentumStep = (parameter, velocity, gradient, factor, coefficients) => {
    const [after, moved] = backend.executeMultipleOutputs('ThawMomentum', attributes, [parameter, velocity, gradient, factor, coefficients], 2);
    if (after === undefined || moved === undefined) throw new Error('ThawMomentum gave less than two tensors');
    return { parameter: after, velocity: moved };
  };
  try {
    tf.tidy(() => { step(tf.ones([1]), tf.ones([1]), tf.ones([1]), tf.scalar(1), tf.tensor1d([1, 0, 0])); });
    return step;
  } catch {
    return undefined; // the optimizer composes the step
  }
}
