// tfjs over TensorFlow. A module of its own, imported when an engine is wanted: tfjs is 5 MB of script, and most commands need none of it.
import * as tf from '@tensorflow/tfjs';
import { NodeJSKernelBackend } from '@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend';
import '@tensorflow/tfjs-node-gpu/dist/register_all_kernels'; // for a backend by the name of `tensorflow`
import type { TFJSBinding } from '@tensorflow/tfjs-node-gpu/dist/tfjs_binding';
import { createFusedConvolution } from './fusedConvolution.js';
import { usePointwiseGradients } from './gradients.js';
import { createKernels, type Kernels } from './kernels.js';
import { createMaxPool } from './maxPool.js';
import { createMomentumStep } from './momentum.js';
import { useOneDnn } from './oneDnn.js';

/**
 * Makes the addon tfjs's backend. Undefined when tfjs refuses it.
 * @param threads that one operation is spread over
 */
export async function startTensorflow(binding: TFJSBinding, threads: number): Promise<{ tf: typeof import('@tensorflow/tfjs'); kernels: Kernels } | undefined> {
  // By any other name the backend takes itself for the CPU package and puts nothing on a GPU.
  const backend = new NodeJSKernelBackend(binding, '@tensorflow/tfjs-node-gpu');
  tf.registerBackend('tensorflow', () => backend, 3);
  if (!(await tf.setBackend('tensorflow'))) return undefined;
  usePointwiseGradients(tf);
  const fuse = !binding.isUsingGpuDevice();
  const oneDnn = fuse && tf.tidy(() => useOneDnn(backend, { x: tf.ones([1, 2, 2, 1]), filter: tf.ones([2, 2, 1, 1]) }));
  const momentumStep = fuse ? createMomentumStep(tf, backend, threads) : undefined;
  return {
    tf,
    kernels: {
      ...createKernels(tf, backend),
      convolution: createFusedConvolution(tf, backend, { fuse, fuseDepthwise: oneDnn }),
      maxPool: createMaxPool(tf, backend, oneDnn),
      ...(momentumStep !== undefined && { momentumStep }),
    },
  };
}
