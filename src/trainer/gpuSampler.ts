// How busy and how full the GPU is while a run trains on it, asked of nvidia-smi every two seconds. A process of its own asks: to start a program
// copies the page tables of whoever starts it, which held a trainer of 1.7 GB up for 0.1 to 0.35 s each time (two busy cores), 5 ms a small one.
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import * as v from 'valibot';
import { sampleGpu, type GpuSample } from '../engine/nvidia.js';
import { childEnvironment } from '../runs/launch.js';

const INTERVAL_MS = 2000;
/** After so many answers in a row that are none it is no longer asked. */
const GIVE_UP_AFTER = 3;

interface GpuSamplerOptions {
  readonly uuid: string;
  /** Whose PATH leads to nvidia-smi. */
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

const sampleLine = v.object({ time: v.number(), utilization: v.optional(v.number()), usedBytes: v.number(), totalBytes: v.number() });
/** A sample and when it was taken, milliseconds since 1970. */
export type TimedGpuSample = v.InferOutput<typeof sampleLine>;

/** The sampling process: a JSON line on stdout for each sample, until its standard input ends, as it does when the trainer has, or nvidia-smi is given up. */
export async function sampleToOutput(uuid: string, environment: NodeJS.ProcessEnv): Promise<void> {
  await new Promise<void>((resolve) => {
    const sampler = new GpuSampler({
      uuid, environment, onGivenUp: resolve,
      onSample: (sample) => { process.stdout.write(`${JSON.stringify({ time: Date.now(), ...sample })}\n`); },
    });
    process.stdin.resume().once('end', () => {
      sampler.stop();
      resolve();
    });
  });
  process.stdin.destroy(); // else it keeps the process alive
}

export interface GpuSamplerProcessOptions {
  readonly uuid: string;
  readonly environment: NodeJS.ProcessEnv;
  /** dist/trainer.js, and the binary that runs it. */
  readonly program: { readonly execPath: string; readonly script: string };
  readonly onSample: (sample: TimedGpuSample) => void;
  /** Once, when there will be no more samples though nobody stopped it. */
  readonly onGivenUp: () => void;
}

/** Samples by a process of its own, until it is stopped. */
export class GpuSamplerProcess {
  private readonly child: ChildProcess;
  private over = false;

  constructor({ uuid, environment, program, onSample, onGivenUp }: GpuSamplerProcessOptions) {
    this.child = spawn(program.execPath, [program.script, '--sample-gpu', uuid], {
      env: childEnvironment(environment, { electron: process.versions['electron'] !== undefined }), stdio: ['pipe', 'pipe', 'ignore'], windowsHide: true,
    });
    const giveUp = (): void => {
      if (!this.over) onGivenUp();
      this.over = true;
    };
    this.child.once('error', giveUp).once('close', giveUp);
    this.child.stdin?.on('error', () => undefined); // it has ended: `close` says so
    if (this.child.stdout === null) return;
    createInterface({ input: this.child.stdout }).on('line', (text) => {
      if (!this.over) onSample(v.parse(sampleLine, JSON.parse(text)));
    });
  }

  stop(): void {
    this.over = true;
    this.child.stdin?.end();
    this.child.kill('SIGKILL');
  }
}
