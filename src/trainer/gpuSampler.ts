// How busy and how full the GPU is while a run trains on it, asked of nvidia-smi every two seconds.
import { sampleGpu, type GpuSample } from '../engine/nvidia.js';

const INTERVAL_MS = 2000;
/** After so many answers in a row that are none it is no longer asked. */
const GIVE_UP_AFTER = 3;

export interface GpuSamplerOptions {
  readonly uuid: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly onSample: (sample: GpuSample) => void;
  /** Once, when nvidia-smi doesn't answer any more. */
  readonly onGivenUp: () => void;
  readonly intervalMs?: number;
}

/** Asks until it is stopped; one question at a time, so that a slow answer delays the next. */
export class GpuSampler {
  private timer: NodeJS.Timeout | undefined;
  private stopped = false;
  private failures = 0;

  constructor(private readonly options: GpuSamplerOptions) {
    this.ask();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  private ask(): void {
    const { uuid, environment, onSample, onGivenUp, intervalMs = INTERVAL_MS } = this.options;
    const began = Date.now();
    void sampleGpu(uuid, environment).then((sample) => {
      if (this.stopped) return;
      this.failures = sample === undefined ? this.failures + 1 : 0;
      if (sample !== undefined) onSample(sample);
      if (this.failures >= GIVE_UP_AFTER) {
        onGivenUp();
        return;
      }
      this.timer = setTimeout(() => { this.ask(); }, Math.max(0, intervalMs - (Date.now() - began)));
      this.timer.unref();
    });
  }
}
