// Optimizers with PyTorch's semantics, their state keyed by parameter name: tfjs's own keep it by position, so one used on two sets of
// variables corrupts silently. A parameter is a tfjs variable; its layout doesn't matter, every rule is elementwise.
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs';
import type { Engine } from '../engine/load.js';

type Tensorflow = Engine['tf'];

export type Variables = ReadonlyMap<string, Variable>;
export type Gradients = ReadonlyMap<string, Tensor>;

export interface Optimizer {
  /**
   * One step: changes every variable that has a gradient. Gradients stay the caller's to dispose.
   * @param learningRate the rate of a parameter, by its name
   */
  step(variables: Variables, gradients: Gradients, learningRate: (name: string) => number): void;
  /** Frees the optimizer's own tensors. */
  dispose(): void;
}

/** `torch.optim.SGD(momentum, weight_decay)`, dampening 0: v ← μ v + (g + λ p), p ← p − η v; v starts as the first g + λ p. */
export class SgdMomentum implements Optimizer {
  private readonly velocities = new Map<string, Tensor>();

  constructor(private readonly tf: Tensorflow, private readonly options: { momentum: number; weightDecay: number | ((name: string) => number) }) {}

  step(variables: Variables, gradients: Gradients, learningRate: (name: string) => number): void {
    const { tf } = this;
    const { momentum, weightDecay } = this.options;
    for (const [name, gradient] of gradients) {
      const variable = required(variables, name);
      const decay = typeof weightDecay === 'number' ? weightDecay : weightDecay(name);
      const before = this.velocities.get(name);
      const { velocity, value } = tf.tidy((): { velocity: Tensor; value: Tensor } => {
        const full: Tensor = decay === 0 ? gradient : tf.add(gradient, tf.mul(variable, decay));
        const velocity: Tensor = before === undefined ? full.clone() : tf.add(tf.mul(before, momentum), full);
        return { velocity, value: tf.sub(variable, tf.mul(velocity, learningRate(name))) };
      });
      this.velocities.set(name, tf.keep(velocity));
      before?.dispose();
      variable.assign(value);
      value.dispose();
    }
  }

  dispose(): void {
    for (const velocity of this.velocities.values()) velocity.dispose();
    this.velocities.clear();
  }
}

/** `torch.optim.AdamW` (Loshchilov and Hutter 2019): betas .9 and .999, epsilon 1e-8, weight decay apart from the gradient. */
export class AdamW implements Optimizer {
  private static readonly beta1 = 0.9;
  private static readonly beta2 = 0.999;
  private static readonly epsilon = 1e-8;
  private readonly moments = new Map<string, { first: Tensor; second: Tensor; steps: number }>();

  constructor(private readonly tf: Tensorflow, private readonly options: { weightDecay: number }) {}

  step(variables: Variables, gradients: Gradients, learningRate: (name: string) => number): void {
    const { tf } = this;
    for (const [name, gradient] of gradients) {
      const variable = required(variables, name);
      const rate = learningRate(name);
      const before = this.moments.get(name);
      const steps = (before?.steps ?? 0) + 1;
      const { first, second, value } = tf.tidy((): { first: Tensor; second: Tensor; value: Tensor } => {
        const drift = tf.mul(gradient, 1 - AdamW.beta1);
        const spread = tf.mul(tf.square(gradient), 1 - AdamW.beta2);
        const first: Tensor = before === undefined ? drift : tf.add(tf.mul(before.first, AdamW.beta1), drift);
        const second: Tensor = before === undefined ? spread : tf.add(tf.mul(before.second, AdamW.beta2), spread);
        const denominator = tf.add(tf.mul(tf.sqrt(second), 1 / Math.sqrt(1 - AdamW.beta2 ** steps)), AdamW.epsilon);
        const move = tf.mul(tf.div(first, denominator), rate / (1 - AdamW.beta1 ** steps));
        const decayed = this.options.weightDecay === 0 ? variable : tf.mul(variable, 1 - rate * this.options.weightDecay);
        return { first, second, value: tf.sub(decayed, move) };
      });
      this.moments.set(name, { first: tf.keep(first), second: tf.keep(second), steps });
      before?.first.dispose();
      before?.second.dispose();
      variable.assign(value);
      value.dispose();
    }
  }

  dispose(): void {
    for (const { first, second } of this.moments.values()) {
      first.dispose();
      second.dispose();
    }
    this.moments.clear();
  }
}

/**
 * `torch.nn.utils.clip_grad_norm_`: all gradients scaled by min(1, limit / (norm + 1e-6)), norm being that of all together.
 * Stays on the device: nothing is read back. Disposes the gradients given and returns new ones.
 */
export function clipByGlobalNorm(tf: Tensorflow, gradients: Gradients, limit: number): Map<string, Tensor> {
  const scale = tf.tidy((): Scalar => {
    const squares = [...gradients.values()].map((gradient) => tf.sum(tf.square(gradient)));
    const norm = tf.sqrt(tf.addN(squares));
    return tf.minimum(tf.scalar(1), tf.div(tf.scalar(limit), tf.add(norm, 1e-6)));
  });
  const clipped = new Map<string, Tensor>();
  for (const [name, gradient] of gradients) {
    clipped.set(name, tf.mul(gradient, scale));
    gradient.dispose();
  }
  scale.dispose();
  return clipped;
}

/** Rate of a step: linear warm-up, then half a cosine down to 0 (Loshchilov and Hutter 2017, without restarts). `step` counts from 0. */
export function warmUpCosine(step: number, steps: number, warmupShare: number): number {
  const warmup = Math.round(steps * warmupShare);
  if (step < warmup) return (step + 1) / warmup;
  return 0.5 * (1 + Math.cos((Math.PI * (step - warmup)) / Math.max(1, steps - warmup)));
}

function required(variables: Variables, name: string): Variable {
  const variable = variables.get(name);
  if (variable === undefined) throw new Error(`a gradient for ${name}, which is no variable`);
  return variable;
}
