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

/** What SGD keeps of a parameter: the velocity times `scale`. */
interface Velocity {
  readonly tensor: Tensor;
  readonly scale: number;
}

/** One rule for all tensors of a group: rate, weight decay, and what their velocities are multiplied by before and after. */
interface SgdRule {
  readonly rate: number;
  readonly decay: number;
  /** Absent in the first step. */
  readonly before: number | undefined;
  readonly after: number;
}

/**
 * `torch.optim.SGD(momentum, weight_decay)`, dampening 0: v ← μ v + (g + λ p), p ← p − η v; v starts as the first g + λ p.
 * On large filters a step takes as long as it reads and writes memory. So η v is what is kept, which saves a product; where η is 0, v itself.
 */
export class SgdMomentum implements Optimizer {
  private readonly velocities = new Map<string, Velocity>();

  constructor(private readonly engine: Pick<Engine, 'tf' | 'kernels'>, private readonly options: { momentum: number; weightDecay: number | ((name: string) => number) }) {}

  /** @param factor multiplies every gradient first: see clippingFactor */
  step(variables: Variables, gradients: Gradients, learningRate: (name: string) => number, factor?: Scalar): void {
    const { tf } = this.engine;
    const { weightDecay } = this.options;
    const vectors = new Map<string, { rule: SgdRule; names: string[] }>();
    for (const [name, gradient] of gradients) {
      const rate = learningRate(name);
      const decay = typeof weightDecay === 'number' ? weightDecay : weightDecay(name);
      const rule: SgdRule = { rate, decay, before: this.velocities.get(name)?.scale, after: rate === 0 ? 1 : rate };
      if (gradient.rank === 1) {
        const key = JSON.stringify(rule);
        const group = vectors.get(key) ?? { rule, names: [] };
        group.names.push(name);
        vectors.set(key, group);
        continue;
      }
      const variable = required(variables, name);
      const { velocity, value } = tf.tidy(() => this.moved(variable, gradient, this.velocities.get(name)?.tensor, rule, factor));
      this.replace(name, variable, velocity, rule.after, value);
    }
    // A network has a hundred short vectors, and an operation on a short one costs its call: those of one rule go as one.
    for (const { rule, names } of vectors.values()) {
      const targets = names.map((name) => required(variables, name));
      const sizes = targets.map((variable) => variable.size);
      const [velocities, values] = tf.tidy((): [Tensor[], Tensor[]] => {
        const joined = (tensors: readonly (Tensor | undefined)[]): Tensor1D => tf.concat1d(tensors as Tensor1D[]);
        const before = rule.before === undefined ? undefined : joined(names.map((name) => this.velocities.get(name)?.tensor));
        const { velocity, value } = this.moved(joined(targets), joined(names.map((name) => gradients.get(name))), before, rule, factor);
        return [tf.split(velocity, sizes), tf.split(value, sizes)];
      });
      for (const [index, name] of names.entries()) this.replace(name, targets[index], velocities[index], rule.after, values[index]);
    }
  }

  private moved(parameter: Tensor, gradient: Tensor, kept: Tensor | undefined, rule: SgdRule, factor: Scalar | undefined): { velocity: Tensor; value: Tensor } {
    const { tf, kernels: { momentumStep } } = this.engine;
    const { rate, decay, before, after } = rule;
    const [ofGradient, ofParameter, ofVelocity] = [after, decay * after, (this.options.momentum * after) / (before ?? 1)];
    if (momentumStep !== undefined) {
      const moved = momentumStep(parameter, kept ?? tf.zerosLike(parameter), gradient, factor ?? tf.scalar(1), tf.tensor1d([ofGradient, ofParameter, ofVelocity]));
      return { velocity: moved.velocity, value: rate === 0 ? parameter.clone() : moved.parameter };
    }
    const terms = [tf.mul(gradient, factor === undefined ? ofGradient : tf.mul(factor, ofGradient))];
    if (ofParameter !== 0) terms.push(tf.mul(parameter, ofParameter));
    if (kept !== undefined) terms.push(tf.mul(kept, ofVelocity));
    const velocity = tf.addN(terms);
    return { velocity, value: rate === 0 ? parameter.clone() : tf.sub(parameter, velocity) };
  }

  private replace(name: string, variable: Variable | undefined, velocity: Tensor | undefined, scale: number, value: Tensor | undefined): void {
    if (variable === undefined || velocity === undefined || value === undefined) throw new Error(`a step without a result for ${name}`);
    this.velocities.get(name)?.tensor.dispose();
    this.velocities.set(name, { tensor: this.engine.tf.keep(velocity), scale });
    variable.assign(value);
    value.dispose();
  }

  dispose(): void {
    for (const { tensor } of this.velocities.values()) tensor.dispose();
    this.velocities.clear();
  }
}

/** `torch.optim.AdamW` (Loshchilov and Hutter 2019): weight decay apart from the gradient. */
export class AdamW implements Optimizer {
  private readonly moments = new Map<string, { first: Tensor; second: Tensor; steps: number }>();

  constructor(private readonly tf: Tensorflow, private readonly options: { readonly beta1: number; readonly beta2: number; readonly epsilon: number; readonly weightDecay: number }) {}

  step(variables: Variables, gradients: Gradients, learningRate: (name: string) => number): void {
    const { tf, options: { beta1, beta2, epsilon } } = this;
    for (const [name, gradient] of gradients) {
      const variable = required(variables, name);
      const rate = learningRate(name);
      const before = this.moments.get(name);
      const steps = (before?.steps ?? 0) + 1;
      const { first, second, value } = tf.tidy((): { first: Tensor; second: Tensor; value: Tensor } => {
        const drift = tf.mul(gradient, 1 - beta1);
        const spread = tf.mul(tf.square(gradient), 1 - beta2);
        const first: Tensor = before === undefined ? drift : tf.add(tf.mul(before.first, beta1), drift);
        const second: Tensor = before === undefined ? spread : tf.add(tf.mul(before.second, beta2), spread);
        const denominator = tf.add(tf.mul(tf.sqrt(second), 1 / Math.sqrt(1 - beta2 ** steps)), epsilon);
        const move = tf.mul(tf.div(first, denominator), rate / (1 - beta1 ** steps));
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
 * What `torch.nn.utils.clip_grad_norm_` multiplies every gradient by: min(1, limit / (norm + 1e-6)), norm being that of all together.
 * Stays on the device: nothing is read back. The caller's to dispose.
 */
export function clippingFactor({ tf, kernels }: Pick<Engine, 'tf' | 'kernels'>, gradients: Gradients, limit: number): Scalar {
  return tf.tidy(() => {
    const vectors = [...gradients.values()].filter(({ rank }) => rank === 1);
    // As in the optimizer: short vectors together.
    const joined = vectors.length === 0 ? [] : [tf.concat1d(vectors as Tensor1D[])];
    const halves = [...joined, ...[...gradients.values()].filter(({ rank }) => rank !== 1)].map((gradient) => kernels.halfSquaredNorm(gradient));
    return tf.minimum(tf.scalar(1), tf.div(tf.scalar(limit), tf.add(tf.sqrt(tf.mul(tf.addN(halves), 2)), 1e-6)));
  });
}

/** Rate of a step: linear warm-up, then half a cosine down to 0 (Loshchilov and Hutter 2017, without restarts). `step` counts from 0. */
export function warmUpCosine(step: number, steps: number, warmupShare: number): number {
  const warmup = Math.round(steps * warmupShare);
  if (step < warmup) return (step + 1) / warmup;
  return 0.5 * (1 + Math.cos((Math.PI * (step - warmup)) / Math.max(1, steps - warmup)));
}

/** Share of the rate at a step of the head's training. */
export function headRate({ warmupShare, schedule }: { readonly warmupShare: number; readonly schedule: 'cosine' | 'constant' }, step: number, steps: number): number {
  if (schedule === 'cosine') return warmUpCosine(step, steps, warmupShare);
  return Math.min(1, (step + 1) / Math.max(1, Math.round(steps * warmupShare)));
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
