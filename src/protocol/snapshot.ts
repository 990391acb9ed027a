// What a run looks like from outside at one moment: read whole from its folder, shown by the panel, the trees, the status bar and the CLI.
import type { EpochEvent, GpuEvent, PhaseEvent, StepEvent } from './events.js';
import type { RunRecord, RunState } from './run.js';

export interface RunSnapshot {
  /** Absolute path of the run folder. */
  readonly directory: string;
  readonly record: RunRecord;
  readonly state: RunState;
  readonly epochs: readonly EpochEvent[];
  /** The last phase event, while the run lives. */
  readonly phase?: PhaseEvent;
  /** The last step event, if it is newer than the last epoch. */
  readonly step?: StepEvent;
  /** What the GPU's samples come to, where there are some. */
  readonly gpu?: GpuUse;
  /** Index into `epochs`: highest validation accuracy, a tie to the lower loss, then the earlier; absent before the first epoch. */
  readonly best?: number;
  /** Lines of events.ndjson that could not be read. */
  readonly damagedLines: number;
  /** Milliseconds since 1970 of the newest event. */
  readonly lastEventAt?: number;
}

export interface GpuUse {
  readonly last: GpuEvent;
  readonly peakBytes: number;
  /** Mean share of the time in which it computed something; absent where the driver doesn't say. */
  readonly meanUtilization?: number;
}

/** A run folder that can't be read: shown by name with the reason, never hidden. */
export interface UnreadableRun {
  readonly directory: string;
  readonly id: string;
  readonly reason: string;
}
