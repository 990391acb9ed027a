// What a run looks like from outside at one moment: read whole from its folder, shown by the panel, the trees, the status bar and the CLI.
import type { EpochEvent, PhaseEvent, StepEvent } from './events.js';
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
  /** Index into `epochs`: highest validation accuracy, a tie to the lower loss, then the earlier; absent before the first epoch. */
  readonly best?: number;
  /** Lines of events.ndjson that could not be read. */
  readonly damagedLines: number;
  /** Milliseconds since 1970 of the newest event. */
  readonly lastEventAt?: number;
}

/** A run folder that can't be read: shown by name with the reason, never hidden. */
export interface UnreadableRun {
  readonly directory: string;
  readonly id: string;
  readonly reason: string;
}
