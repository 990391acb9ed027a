// Optimizers with PyTorch's semantics, their state keyed by parameter name: tfjs's own keep it by position, so one used on two sets of
// variables corrupts silently. A parameter is a tfjs variable; its layout doesn't matter, every rule is elementwise.
import type { Scalar, Tensor, Tensor1D, Variable } from '@tensorflow/tfjs';
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
    const { weightDecay } = this.options;
    const vectors = new Map<string, { rate: number; decay: number; names: string[]; first: boolean }>();
    for (const [name, gradient] of gradients) {
      const rate = learningRate(name);
      const decay = typeof weightDecay === 'number' ? weightDecay : weightDecay(name);
      const first = !this.velocities.has(name);
      if (gradient.rank === 1) {
        const key = [rate, decay, first].join(' ');
        const group = vectors.get(key) ?? { rate, decay, first, names: [] };
        group.names.push(name);
        vectors.set(key, group);
        continue;
      }
      const variable = required(variables, name);
      const { velocity, value } = tf.tidy(() => this.moved(variable, gradient, this.velocities.get(name), rate, decay));
      this.replace(name, variable, velocity, value);
    }
    // A network has a hundred short vectors, and an operation on a short one costs its call: those of one rate and decay go as one.
    for (const { rate, decay, first, names } of vectors.values()) {
      const targets = names.map((name) => required(variables, name));
      const sizes = targets.map((variable) => variable.size);
      const [velocities, values] = tf.tidy((): [Tensor[], Tensor[]] => {
        const joined = (tensors: readonly (Tensor | undefined)[]): Tensor1D => tf.concat1d(tensors as Tensor1D[]);
        const before = first ? undefined : joined(names.map((name) => this.velocities.get(name)));
        const { velocity, value } = this.moved(joined(targets), joined(names.map((name) => gradients.get(name))), before, rate, decay);
        return [tf.split(velocity, sizes), tf.split(value, sizes)];
      });
      for (const [index, name] of names.entries()) this.replace(name, targets[index], velocities[index], values[index]);
    }
  }

  private moved(parameter: Tensor, gradient: Tensor, before: Tensor | undefined, rate: number, decay: number): { velocity: Tensor; value: Tensor } {
    const { tf } = this;
    const full: Tensor = decay === 0 ? gradient : tf.add(gradient, tf.mul(parameter, decay));
    const velocity: Tensor = before === undefined ? full.clone() : tf.add(tf.mul(before, this.options.momentum), full);
    return { velocity, value: tf.sub(parameter, tf.mul(velocity, rate)) };
  }

  private replace(name: string, variable: Variable | undefined, velocity: Tensor | undefined, value: Tensor | undefined): void {
    if (variable === undefined || velocity === undefined || value === undefined) throw new Error(`a step without a result for ${name}`);
    this.velocities.get(name)?.dispose();
    this.velocities.set(name, this.tf.keep(velocity));
    variable.assign(value);
    value.dispose();
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
  const vectors = [...gradients].filter(([, gradient]) => gradient.rank === 1);
  const others = [...gradients].filter(([, gradient]) => gradient.rank !== 1);
  const clipped = new Map<string, Tensor>();
  tf.tidy(() => {
    // As in the optimizer: short vectors together.
    const joined = vectors.length === 0 ? [] : [tf.concat1d(vectors.map(([, gradient]) => gradient as Tensor1D))];
    const squares = [...joined, ...others.map(([, gradient]) => gradient)].map((gradient) => tf.sum(tf.square(gradient)));
    const scale: Scalar = tf.minimum(tf.scalar(1), tf.div(tf.scalar(limit), tf.add(tf.sqrt(tf.addN(squares)), 1e-6)));
    for (const [name, gradient] of others) clipped.set(name, tf.keep(tf.mul(gradient, scale)));
    for (const flat of joined) {
      const parts: Tensor[] = tf.split(tf.mul(flat, scale), vectors.map(([, gradient]) => gradient.size));
      for (const [index, part] of parts.entries()) clipped.set(vectors[index]?.[0] ?? '', tf.keep(part));
    }
  });
  for (const gradient of gradients.values()) gradient.dispose();
  return new Map([...gradients.keys()].map((name) => [name, required(clipped, name)]));
}

/** Rate of a step: linear warm-up, then half a cosine down to 0 (Loshchilov and Hutter 2017, without restarts). `step` counts from 0. */
export function warmUpCosine(step: number, steps: number, warmupShare: number): number {
  const warmup = Math.round(steps * warmupShare);
  if (step < warmup) return (step + 1) / warmup;
  return 0.5 * (1 + Math.cos((Math.PI * (step - warmup)) / Math.max(1, steps - warmup)));
}

/** Rate of an epoch, from 1: times `factor` after every so many epochs (`torch.optim.lr_scheduler.StepLR`). */
export function stepDecay(epoch: number, every: number, factor: number): number {
  return factor ** Math.floor((epoch - 1) / every);
}

function required<T>(tensors: ReadonlyMap<string, T>, name: string): T {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new Error(`a gradient for ${name}, which is no variable`);
  return tensor;
}
