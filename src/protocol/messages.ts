// Host ↔ webview. The host posts complete snapshots; the webview asks and owns nothing but what is selected.
import * as v from 'valibot';
import type { Advice } from './advice.js';
import type { Classification } from './classification.js';
import type { Comparison } from './comparison.js';
import { RUN_ID } from './run.js';
import type { RunSnapshot, UnreadableRun } from './snapshot.js';
import type { StudySnapshot, UnreadableStudy } from './study.js';

/** The absolute path of the folder of a run, a study or a dataset; looked at by the host before anything is read. */
const folder = v.pipe(v.string(), v.maxLength(4096));

/** What survives a reload, by setState: which run, which tab, which runs are compared and hidden. */
export const panelStateSchema = v.object({
  version: v.literal(1),
  /** Absolute path of the run folder; checked again by the host before it is read. */
  run: v.optional(folder),
  tab: v.picklist(['run', 'compare', 'classify', 'advice', 'study']),
  /** The dataset folder whose advice is shown; the host has it, if it is one of an open folder. */
  advice: v.optional(folder),
  /** Absolute path of the study folder; checked as the run's is. */
  study: v.optional(folder),
  compared: v.pipe(v.array(folder), v.maxLength(12)),
  hidden: v.pipe(v.array(v.pipe(v.string(), v.regex(RUN_ID))), v.maxLength(12)),
  scroll: v.optional(v.number()),
  valuesOpen: v.optional(v.boolean()),
});
export type PanelState = v.InferOutput<typeof panelStateSchema>;

/** What the empty panel offers to begin with. */
const OFFERED_STRATEGIES = ['freeze', 'finetune'] as const;
export type OfferedStrategy = (typeof OFFERED_STRATEGIES)[number];

/** An image of a study's dataset, as a JPEG file in base64, made anew by the trainer. */
export interface StudySample {
  readonly dataset: number;
  readonly thumbnail: string;
}

export type HostMessage =
  | { readonly type: 'run'; readonly run: RunSnapshot | UnreadableRun | undefined; readonly note?: string; /** Milliseconds since 1970, the host's clock. */ readonly now: number; /** Why training can't start here (untrusted workspace), or undefined. */ readonly cannotTrain?: string }
  | { readonly type: 'comparison'; readonly comparison: Comparison | undefined; /** Why there is none, in one sentence. */ readonly reason?: string }
  | { readonly type: 'classification'; readonly classification: Classification | undefined }
  | { readonly type: 'advice'; readonly advice: Advice | undefined; /** Why training can't start here. */ readonly cannotTrain?: string }
  | { readonly type: 'study'; readonly study: StudySnapshot | UnreadableStudy | undefined; readonly samples: readonly StudySample[]; readonly cannotTrain?: string }
  /** The run that was asked to stop goes on, and may be asked again. */
  | { readonly type: 'stopFailed'; readonly directory: string }
  | { readonly type: 'show'; readonly tab: PanelState['tab'] };

/** Each request names what it is about: the host may have turned to something else since it was drawn. */
export const webviewMessageSchema = v.variant('type', [
  /** The script runs and wants everything; `state` is what it remembered. */
  v.strictObject({ type: v.literal('ready'), state: v.optional(panelStateSchema) }),
  v.strictObject({ type: v.literal('state'), state: panelStateSchema }),
  v.strictObject({ type: v.literal('stop'), directory: folder }),
  v.strictObject({ type: v.literal('trainAgain'), directory: folder }),
  /** On a folder to be chosen. */
  v.strictObject({ type: v.literal('train'), strategy: v.picklist(OFFERED_STRATEGIES) }),
  v.strictObject({ type: v.literal('openLog'), directory: folder }),
  v.strictObject({ type: v.literal('openRecord'), directory: folder }),
  v.strictObject({ type: v.literal('addRun') }),
  v.strictObject({ type: v.literal('removeRun'), directory: folder }),
  v.strictObject({ type: v.literal('openRun'), directory: folder }),
  /** On a dataset that there is advice on. */
  v.strictObject({ type: v.literal('trainAdvised'), dataset: folder, strategy: v.picklist(OFFERED_STRATEGIES) }),
  /** Measured anew, with a pilot. */
  v.strictObject({ type: v.literal('adviseAgain'), dataset: folder }),
  v.strictObject({ type: v.literal('stopStudy'), directory: folder }),
  v.strictObject({ type: v.literal('resumeStudy'), directory: folder }),
  v.strictObject({ type: v.literal('exportStudy'), directory: folder }),
  v.strictObject({ type: v.literal('openStudyLog'), directory: folder }),
  /** A run of a study. */
  v.strictObject({ type: v.literal('openStudyRun'), directory: folder, run: v.pipe(v.string(), v.regex(RUN_ID)) }),
  /** Other images, to be chosen. */
  v.strictObject({ type: v.literal('classify') }),
  /** An error in the webview's own script: logged by the host. */
  v.strictObject({ type: v.literal('scriptError'), message: v.pipe(v.string(), v.maxLength(4096)) }),
]);
export type WebviewMessage = v.InferOutput<typeof webviewMessageSchema>;
